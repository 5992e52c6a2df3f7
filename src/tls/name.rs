//! The subject of a certificate as Java writes it: `X500Principal.getName()`, RFC 2253. Access control
//! lists name clients so.

use std::fmt::Write as _;

/// Tags of DER.
const INTEGER: u8 = 0x02;
const OBJECT_IDENTIFIER: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
/// The version of a certificate, which the oldest do not have.
const VERSION: u8 = 0xa0;

/// The types of string whose content is shown as text; of all others the bytes are.
const TEXTS: [u8; 6] = [
    0x0c, // UTF8String
    0x13, // PrintableString
    0x14, // T61String
    0x16, // IA5String
    0x1b, // GeneralString
    0x1e, // BMPString
];

/// The attributes that have a word, by their encoded object identifiers.
const WORDS: [(&[u8], &str); 9] = [
    (&[0x55, 4, 3], "CN"),
    (&[0x55, 4, 6], "C"),
    (&[0x55, 4, 7], "L"),
    (&[0x55, 4, 8], "ST"),
    (&[0x55, 4, 10], "O"),
    (&[0x55, 4, 11], "OU"),
    (&[0x55, 4, 9], "STREET"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25], "DC"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 1], "UID"),
];

/// The subject of a certificate in DER; `None` where the bytes are no certificate.
pub fn subject(certificate: &[u8]) -> Option<String> {
    let mut whole = Der(Der(certificate).take(SEQUENCE)?);
    let mut signed = Der(whole.take(SEQUENCE)?);
    if signed.0.first() == Some(&VERSION) {
        signed.any()?;
    }
    signed.take(INTEGER)?; // the serial number
    for _algorithm_issuer_validity in 0..3 {
        signed.take(SEQUENCE)?;
    }
    name(signed.take(SEQUENCE)?)
}

/// A name, the part that was encoded last in front.
fn name(encoded: &[u8]) -> Option<String> {
    let mut parts = Vec::new();
    let mut sequence = Der(encoded);
    while !sequence.0.is_empty() {
        let mut set = Der(sequence.take(SET)?);
        let mut attributes = Vec::new();
        while !set.0.is_empty() {
            attributes.push(attribute(set.take(SEQUENCE)?)?);
        }
        parts.push(attributes.join("+"));
    }
    parts.reverse();
    Some(parts.join(","))
}

fn attribute(encoded: &[u8]) -> Option<String> {
    let mut der = Der(encoded);
    let identifier = der.take(OBJECT_IDENTIFIER)?;
    let value = der.0;
    let (tag, content) = der.any()?;
    let word = WORDS.iter().find(|(known, _)| *known == identifier).map(|(_, word)| *word);
    Some(match word {
        Some(word) if TEXTS.contains(&tag) => {
            format!("{word}={}", escaped(&String::from_utf8_lossy(content)))
        }
        word => {
            let word = word.map_or_else(|| dotted(identifier), |word| Some(word.to_owned()))?;
            let mut text = format!("{word}=#");
            for byte in value {
                let _ = write!(text, "{byte:02x}");
            }
            text
        }
    })
}

/// The numbers of an object identifier.
fn dotted(identifier: &[u8]) -> Option<String> {
    let mut numbers = Vec::new();
    let mut number = 0_u64;
    for byte in identifier {
        number = number.checked_mul(128)? | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            numbers.push(std::mem::take(&mut number));
        }
    }
    let first = numbers.first_mut()?;
    // The first two share a number.
    let root = (*first / 40).min(2);
    *first -= root * 40;
    let rest: Vec<String> = numbers.iter().map(u64::to_string).collect();
    Some(format!("{root}.{}", rest.join(".")))
}

/// Text with marks in front of what would be read as something else.
fn escaped(text: &str) -> String {
    let mut marked = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            ',' | '=' | '+' | '<' | '>' | '#' | ';' | '"' | '\\' => marked.extend(['\\', letter]),
            '\0' => marked.push_str("\\00"),
            letter => marked.push(letter),
        }
    }
    let is_blank = |letter: char| matches!(letter, ' ' | '\r');
    let inner = marked.trim_matches(is_blank);
    if inner.len() == marked.len() {
        return marked;
    }
    // Where all is blank each of it is at the beginning.
    let start = marked.len() - marked.trim_start_matches(is_blank).len();
    let mut whole = String::new();
    for (at, letter) in marked.char_indices() {
        if at < start || at >= start + inner.len() {
            whole.push('\\');
        }
        whole.push(letter);
    }
    whole
}

/// Values that follow each other in DER.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The content of the next value, which has this tag.
    fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.any().filter(|(found, _)| *found == tag).map(|(_, content)| content)
    }

    /// Tag and content of the next value.
    fn any(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, mut rest) = rest.split_first()?;
        let mut len = usize::from(first);
        if first >= 0x80 {
            // The number of bytes of the length: a certificate is never so long that it takes more.
            let count = usize::from(first & 0x7f);
            let bytes = rest.get(..count).filter(|_| (1..=4).contains(&count))?;
            len = bytes.iter().fold(0, |len, byte| len << 8 | usize::from(*byte));
            rest = rest.get(count..)?;
        }
        let content = rest.get(..len)?;
        self.0 = rest.get(len..)?;
        Some((tag, content))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<u32> = hex.chars().filter_map(|digit| digit.to_digit(16)).collect();
        digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
    }

    #[test]
    fn names_are_those_of_java() {
        // Each name in DER, and what X500Principal.getName() of Java 17 made of it.
        for (der, expected) in [
            (
                "3048310b300906035504061302444531163014060355040a130d4578616d706c652c20496e632e310d30\
                 0b060355040b1304436f72653112301006035504031309416e6e20536d697468",
                "CN=Ann Smith,OU=Core,O=Example\\, Inc.,C=DE",
            ),
            (
                "304431133011060a0992268993f22c64011916036f726731173015060a0992268993f22c640119160765\
                 78616d706c653114300806035504031301613008060355040b130162",
                "CN=a+OU=b,DC=example,DC=org",
            ),
            (
                "306e310a30080603550405130137310d300b060355040c1304626f73733114301206092a864886f70d01\
                 090116056140622e63310a30080603550407130159310a30080603550408130158310f300d0603550409\
                 13064d61696e203131123010060a0992268993f22c64010113027531",
                "UID=u1,STREET=Main 1,ST=X,L=Y,1.2.840.113549.1.9.1=#16056140622e63,\
                 2.5.4.12=#1304626f7373,2.5.4.5=#130137",
            ),
            (
                "3020311e301c06035504030c15206c6561642023783d793b3c7a3e2271225c2b2020",
                "CN=\\ lead \\#x\\=y\\;\\<z\\>\\\"q\\\"\\\\\\+\\ \\ ",
            ),
            ("30163114301206035504030c0b6772c3b6c39f6520e282ac", "CN=größe €"),
            ("300b3109300706035504030c00", "CN="),
            ("300e310c300a06035504030c03202020", "CN=\\ \\ \\ "),
            ("3010310e300c06035504030c056100620a63", "CN=a\\00b\nc"),
            ("3010310e300c06035504030c050d2078200d", "CN=\\\r\\ x\\ \\\r"),
            ("300e310c300a06035504031603696135", "CN=ia5"),
            ("300d310b30090603550403140274e9", "CN=t\u{fffd}"),
            ("3011310f300d06035504031e060062006d0070", "CN=\\00b\\00m\\00p"),
            ("300e310c300a06035504031203313233", "CN=#1203313233"),
            ("300e310c300a060355040304036f6374", "CN=#04036f6374"),
            ("3000", ""),
        ] {
            let der = bytes(der);
            let found = Der(&der).take(SEQUENCE).and_then(name);
            assert_eq!(found.unwrap_or_default(), expected);
        }
    }

    #[test]
    fn the_subject_is_found_in_a_certificate() {
        // The subject, not the issuer; and nothing in what is no certificate, however it is cut.
        let dir = tempfile::tempdir().unwrap();
        let ours = super::super::test_keys::Authority::new(dir.path());
        let certificate = ours.certificate(&[("CN", "ann"), ("O", "Example, Inc.")]);
        assert_eq!(subject(&certificate).as_deref(), Some("O=Example\\, Inc.,CN=ann"));
        for len in 0..certificate.len() {
            assert_eq!(subject(&certificate[..len]), None);
            let mut damaged = certificate.clone();
            damaged[len] ^= 0xff;
            let _ = subject(&damaged);
        }
    }
}
