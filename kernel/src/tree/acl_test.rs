use alloc::format;
use alloc::vec::Vec;

use super::*;

fn acl(perms: i32, scheme: &str, id: &str) -> Acl {
    Acl { perms: Perms(perms), id: Id::new(scheme, id) }
}

fn allowed(entries: &[Acl], identities: &[Id], needed: Perms) -> bool {
    check(&AclList::new(entries), identities, needed, Policy::default()).is_ok()
}

#[test]
fn an_entry_gives_its_permissions_to_whom_it_names() {
    // Any one of the permissions asked for is enough; the super user and `skipACL` need none.
    let alice = Id::new("digest", "alice:hash");
    let list = [acl(1, "world", "anyone"), acl(2, "digest", "alice:hash")];
    assert!(allowed(&list, &[], Perms::READ));
    assert!(!allowed(&list, &[], Perms::WRITE));
    assert!(allowed(&list, core::slice::from_ref(&alice), Perms::WRITE));
    assert!(!allowed(&list, core::slice::from_ref(&alice), Perms::ADMIN));
    assert!(allowed(&list, &[alice], Perms::ADMIN | Perms::WRITE));
    assert!(allowed(&list, &[Id::new("super", "")], Perms::ADMIN));
    assert!(allowed(&[], &[], Perms::ADMIN));
    let skip = Policy { skip_acl: true, ..Policy::default() };
    assert!(check(&AclList::new(&list), &[], Perms::ADMIN, skip).is_ok());
}

#[test]
fn auth_becomes_the_identities_that_were_proved() {
    // The address of the client and the super user are not among them.
    let identities = [
        Id::new("ip", "10.0.0.1"),
        Id::new("super", ""),
        Id::new("digest", "a:1"),
        Id::new("digest", "b:2"),
    ];
    let requested = [acl(31, "auth", "ignored"), acl(1, "world", "anyone")];
    let expected = [acl(31, "digest", "a:1"), acl(31, "digest", "b:2"), acl(1, "world", "anyone")];
    let fixed = fixup(Some(&requested), &identities, Policy::default());
    assert_eq!(fixed.as_deref(), Ok(&expected[..]));
    let unproved = fixup(Some(&requested), &identities[..2], Policy::default());
    assert_eq!(unproved, Err(OpError::InvalidAcl));
}

#[test]
fn a_list_loses_its_duplicates_and_must_not_be_empty() {
    // Order is kept; a list that needs no change is not copied.
    let requested = [acl(1, "world", "anyone"), acl(2, "ip", "1.2.3.4"), acl(1, "world", "anyone")];
    let fixed = fixup(Some(&requested), &[], Policy::default());
    assert_eq!(fixed.as_deref(), Ok(&requested[..2]));
    let clean = fixup(Some(&requested[..2]), &[], Policy::default());
    assert!(matches!(clean, Ok(Cow::Borrowed(_))));
    assert_eq!(fixup(Some(&[]), &[], Policy::default()), Err(OpError::InvalidAcl));
    assert_eq!(fixup(None, &[], Policy::default()), Err(OpError::InvalidAcl));
    let unknown = [acl(1, "world", "someone")];
    assert_eq!(fixup(Some(&unknown), &[], Policy::default()), Err(OpError::InvalidAcl));
}

#[test]
fn masking_hides_the_hash_and_keeps_the_user() {
    // Other schemes have nothing to hide.
    let list = AclList::new(&[acl(31, "digest", "alice:secret"), acl(1, "ip", "1.2.3.4")]);
    assert_eq!(masked(&list), [acl(31, "digest", "alice:x"), acl(1, "ip", "1.2.3.4")]);
}

#[test]
fn equal_lists_are_kept_once_and_unused_ones_not_for_ever() {
    // A client that makes a new list for each node leaves nothing behind when the nodes are gone.
    let mut table = AclTable::new();
    let first = table.intern(&[acl(1, "digest", "a:1")]);
    assert!(Arc::ptr_eq(&first, &table.intern(&[acl(1, "digest", "a:1")])));
    assert!(Arc::ptr_eq(&table.intern(&Acl::open()), &table.open));
    let lists_max = PURGE_AT_MIN / size_of::<AclList>();
    for user in 0..2 * lists_max {
        table.intern(&[acl(1, "digest", &format!("user{user}:1"))]);
    }
    assert!(table.lists.len() <= lists_max && table.weight <= 2 * PURGE_AT_MIN);
    assert!(Arc::ptr_eq(&first, &table.intern(&[acl(1, "digest", "a:1")])));
}

#[test]
fn unused_lists_do_not_fill_memory() {
    // What an unused list takes counts, not how many there are: a hundred of the longest lists, each set
    // and replaced, do not stay.
    let mut table = AclTable::new();
    for round in 0..20 {
        let list: Vec<Acl> =
            (0..10_000).map(|at| acl(1, "digest", &format!("user{round}-{at}:1"))).collect();
        table.intern(&list);
    }
    let heaviest = 10_000 * (size_of::<Acl>() + 40);
    assert!(table.weight <= PURGE_AT_MIN + heaviest, "{}", table.weight);
}

/// Entries of all schemes, some of them for the same ids.
fn many_entries() -> Vec<Acl> {
    let digests = (0..40).map(|at| acl(1 << (at % 5), "digest", &format!("user{}:h", at % 30)));
    let subjects = (0..20).map(|at| acl(1 << (at % 3), "x509", &format!("CN=c{at}")));
    let principals = (0..20).map(|at| acl(1 << (at % 3), "sasl", &format!("p{at}")));
    let addresses =
        ["10.1.2.3", "10.0.0.0/8", "10.1.0.0/16", "1.2.3.4/0", "fe80::/10", "::1", "no"];
    let networks = addresses.iter().zip(0..).map(|(id, at)| acl(1 << (at % 5), "ip", id));
    digests.chain(subjects).chain(principals).chain(networks).collect()
}

#[test]
fn a_long_list_decides_as_a_short_one() {
    // Long lists are looked up and short ones gone through: for each identity, permission and setting both
    // say the same, which is what each single entry says.
    let entries = many_entries();
    let listed = entries.iter().map(|acl| acl.id.clone());
    let addresses = ["10.1.2.3", "10.9.9.9", "192.168.0.1", "fe80::7", "::1", "::2"];
    let others = ["digest", "x509", "sasl", "ip", "super", "world"].map(|s| Id::new(s, "super"));
    let identities: Vec<Id> =
        listed.chain(addresses.map(|at| Id::new("ip", at))).chain(others).collect();
    for without_networks in [false, true] {
        let mut entries = entries.clone();
        entries.retain(|acl| !without_networks || acl.id.scheme != "ip");
        let (long, single) = (AclList::new(&entries), entries.iter().map(core::slice::from_ref));
        let single: Vec<AclList> = single.map(AclList::new).collect();
        for bits in 0..64 {
            let policy = Policy::from_bits(bits & !4);
            for id in &identities {
                for needed in [1, 2, 4, 8, 16, 3].map(Perms) {
                    let of = |list| check(list, core::slice::from_ref(id), needed, policy).is_ok();
                    let expected = single.iter().any(of);
                    assert_eq!(of(&long), expected, "{id} {needed} {policy:?}");
                }
            }
        }
    }
}

#[test]
fn a_list_is_fixed_up_in_linear_time() {
    // The longest list that a request can hold is judged at once, whether or not its entries are distinct
    // (comparing all pairs took 15 s).
    let address = |at: usize| format!("10.{}.{}.{}", at >> 16, at >> 8 & 255, at & 255);
    let mut list: Vec<Acl> = (0..40_000).map(|at| acl(31, "ip", &address(at))).collect();
    assert_eq!(fixup(Some(&list), &[], Policy::default()).as_deref(), Ok(&list[..]));
    let once = list.clone();
    list.extend(once.iter().cloned());
    assert_eq!(fixup(Some(&list), &[], Policy::default()).as_deref(), Ok(&once[..]));
}

#[test]
fn an_expanded_list_has_a_limit() {
    // Each `auth` entry becomes all identities: a list that would outgrow what travels between servers is
    // invalid, and the same list for fewer identities is not.
    let identities: Vec<Id> =
        (0..98).map(|at| Id::new("digest", format!("{at:03}{}:h", "u".repeat(1000)))).collect();
    let requested: Vec<Acl> = (0..30_000).map(|at| acl(at << 5 | 31, "auth", "")).collect();
    let fixed = |identities: &[Id]| fixup(Some(&requested), identities, Policy::default());
    assert_eq!(fixed(&identities), Err(OpError::InvalidAcl));
    assert_eq!(fixed(&[Id::new("digest", "a:1")]).map(|list| list.len()), Ok(30_000));
    assert_eq!(fixed(&[]), Err(OpError::InvalidAcl));
}
