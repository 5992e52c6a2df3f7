//! Rooms form a tree: no folder or file uses one that uses it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::{assert_none, code_lines, root, rust_files};

/// Folders whose children are rooms: each child, a file or a folder, may use others, but none that uses it in turn.
const ROOMS: [&str; 5] = ["src", "src/config", "src/consensus", "src/node", "src/storage"];

#[test]
fn rooms_form_a_tree() {
    // Whoever changes a room need look only at those that use it: no two rooms use each other, not even through a
    // third.
    let mut broken = Vec::new();
    for folder in ROOMS {
        let uses = uses_between_rooms(folder);
        for (from, to) in uses.keys() {
            if leads_to(&uses, to, from) {
                let places = &uses[&(from.clone(), to.clone())];
                let places = places.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
                broken.push(format!("{folder}: {from} uses {to}, which leads back: {places}"));
            }
        }
    }
    assert_none(&broken);
}

/// For each pair of rooms of which the first names the second: where it does.
type Uses = BTreeMap<(String, String), BTreeSet<String>>;

/// Whether there is a way from one room to another.
fn leads_to(uses: &Uses, from: &str, to: &str) -> bool {
    let mut reached = vec![from];
    let mut next = 0;
    while let Some(room) = reached.get(next).copied() {
        next += 1;
        for (_, used) in uses.keys().filter(|(user, _)| user == room) {
            if !reached.contains(&used.as_str()) {
                reached.push(used);
            }
        }
    }
    reached.contains(&to)
}

fn uses_between_rooms(folder: &str) -> Uses {
    let above = module_of(Path::new(folder));
    let rooms: BTreeSet<String> = std::fs::read_dir(root().join(folder))
        .expect("the folder of the rooms")
        .flatten()
        .filter_map(|entry| module_of(&Path::new(folder).join(entry.file_name())).pop())
        .collect();
    let room = |path: &[String]| {
        let inside = path.strip_prefix(&above[..])?;
        inside.first().filter(|room| rooms.contains(*room)).cloned()
    };
    let mut uses = Uses::new();
    for file in rust_files(folder) {
        let relative = file.strip_prefix(root()).expect("below the root").to_owned();
        let module = module_of(&relative);
        let Some(from) = room(&module) else { continue };
        for (number, path) in paths(&code_lines(&file), &module) {
            let Some(to) = room(&path).filter(|to| *to != from) else { continue };
            let place = format!("{}:{number}", relative.display());
            uses.entry((from.clone(), to)).or_default().insert(place);
        }
    }
    uses
}

/// The module of a file or folder below `src`; that of the crate's root is empty.
fn module_of(path: &Path) -> Vec<String> {
    let path = path.strip_prefix("src").expect("below src").with_extension("");
    let parts = path.iter().map(|part| part.to_string_lossy().into_owned());
    parts.filter(|part| !["mod", "lib", "main"].contains(&part.as_str())).collect()
}

/// The paths of a file that begin with `crate::` or `super::`, from the root of the crate on, with their lines. Those
/// in braces are taken apart.
fn paths(lines: &[(usize, String)], module: &[String]) -> Vec<(usize, Vec<String>)> {
    let tokens = tokens(lines);
    let mut module = module.to_owned();
    // The braces that are open, and whether each is that of a module.
    let mut open = Vec::new();
    let mut found = Vec::new();
    let mut at = 0;
    while let Some((_, token)) = tokens.get(at) {
        let before = at.checked_sub(1).map(|at| tokens[at].1.as_str());
        match token.as_str() {
            "{" => {
                let names_module = at >= 2 && tokens[at - 2].1 == "mod";
                if names_module {
                    module.push(tokens[at - 1].1.clone());
                }
                open.push(names_module);
            }
            "}" if open.pop() == Some(true) => {
                module.pop();
            }
            "crate" if before != Some("::") => {
                at = take_path(&tokens, at + 1, Vec::new(), &mut found);
                continue;
            }
            "super" if before != Some("::") => {
                let above = module[..module.len().saturating_sub(1)].to_vec();
                at = take_path(&tokens, at + 1, above, &mut found);
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    found
}

/// Adds the path that goes on at `at`, or those of its braces, to `found`; returns where it ends.
fn take_path(
    tokens: &[(usize, String)],
    mut at: usize,
    mut path: Vec<String>,
    found: &mut Vec<(usize, Vec<String>)>,
) -> usize {
    let token = |at: usize| tokens.get(at).map(|(_, token)| token.as_str());
    let line = tokens[at - 1].0;
    while token(at) == Some("::") {
        match token(at + 1) {
            Some("super") => drop(path.pop()),
            Some("{") => {
                at += 2;
                while token(at).is_some_and(|token| token != "}") {
                    // A name, which the path in braces begins with.
                    let inner = [&path[..], &[tokens[at].1.clone()]].concat();
                    at = take_path(tokens, at + 1, inner, found);
                    while token(at).is_some_and(|token| token != "," && token != "}") {
                        at += 1;
                    }
                    at += usize::from(token(at) == Some(","));
                }
                return at + 1;
            }
            Some(name) => path.push(name.to_owned()),
            None => break,
        }
        at += 2;
    }
    found.push((line, path));
    at
}

/// The names, `::`, braces and commas of a file, with their lines. What is in quotes is left out.
fn tokens(lines: &[(usize, String)]) -> Vec<(usize, String)> {
    let mut tokens = Vec::new();
    let mut quoted = false;
    for (number, line) in lines {
        // Braces and quotes as characters.
        let line = line.replace("'{'", "").replace("'}'", "").replace("'\"'", "");
        let line = line.replace("\\\\", "").replace("\\\"", "");
        let mut rest = line.as_str();
        while let Some(next) = rest.chars().next() {
            let is_name = |c: char| c.is_alphanumeric() || c == '_';
            let len = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
            let len = if rest.starts_with("::") { 2 } else { len.max(next.len_utf8()) };
            let token = &rest[..len];
            quoted ^= token == "\"";
            if !quoted && (is_name(next) || ["::", "{", "}", ","].contains(&token)) {
                tokens.push((*number, token.to_owned()));
            }
            rest = &rest[len..];
        }
    }
    tokens
}

#[test]
fn paths_are_read_as_the_compiler_reads_them() {
    // In use lines, groups and expressions, up from inner modules; not in texts and comments.
    let code = "use crate::a::{b::C, d::{self, E}};\n\
        fn f() { super::g::h(\"crate::no \\\" {\"); } // crate::no\n\
        mod tests { use super::super::i; }\n\
        fn j(k: &crate::l::M) {}";
    let lines: Vec<(usize, String)> = code
        .lines()
        .enumerate()
        .map(|(at, line)| (at + 1, line.split("//").next().unwrap_or_default().to_owned()))
        .collect();
    let module = ["x".to_owned(), "y".to_owned()];
    let found = paths(&lines, &module).into_iter();
    let found: Vec<String> =
        found.map(|(line, path)| format!("{line} {}", path.join("::"))).collect();
    let expected = ["1 a::b::C", "1 a::d::self", "1 a::d::E", "2 x::g::h", "3 x::i", "4 l::M"];
    assert_eq!(found, expected);
}
