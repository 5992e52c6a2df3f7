use super::*;

fn ip(text: &str) -> Id {
    Id::new("ip", text)
}

fn stands_for(listed: &str, address: &str) -> bool {
    matches(&ip(listed), &ip(address), Policy::default())
}

#[test]
fn an_acl_names_a_network_of_either_family() {
    // The first bits decide; no bits mean the whole family, all bits one address.
    let inside = [
        ("10.0.0.1", "10.0.0.1"),
        ("010.0.0.1", "10.0.0.1"),
        ("10.0.0.0/8", "10.255.1.2"),
        ("10.9.9.9/8", "10.1.2.3"),
        ("192.168.1.128/25", "192.168.1.200"),
        ("1.2.3.4/0", "9.9.9.9"),
        ("1.2.3.4/32", "1.2.3.4"),
        ("::1", "0:0:0:0:0:0:0:1"),
        ("2001:db8::/32", "2001:db8:ffff::7"),
        ("2001:db8::1/128", "2001:DB8:0::1"),
        ("::/0", "fe80::1"),
    ];
    for (listed, address) in inside {
        assert!(stands_for(listed, address), "{listed} {address}");
    }
    let outside = [
        ("10.0.0.1", "10.0.0.2"),
        ("192.168.1.128/25", "192.168.1.127"),
        ("1.2.3.4/32", "1.2.3.5"),
        ("2001:db8::/33", "2001:db8:8000::"),
        ("::1", "::2"),
        ("0.0.0.0/0", "::1"),
        ("::/0", "127.0.0.1"),
    ];
    for (listed, address) in outside {
        assert!(!stands_for(listed, address), "{listed} {address}");
    }
}

#[test]
fn what_is_no_address_is_no_valid_acl() {
    // Neither wrong parts nor wrong lengths nor wrong bit counts pass.
    let valid =
        ["1.2.3.4", "1.2.3.4/0", "1.2.3.4/32", "::", "::1/128", "1:2:3:4:5:6:7:8", "1::/16"];
    for id in valid {
        assert!(is_valid(&ip(id), Policy::default()), "{id}");
    }
    let invalid = [
        "",
        "host",
        "1.2.3",
        "1.2.3.4.5",
        "1.2.3.256",
        "1.2.3.-1",
        "1.2.3.4/33",
        "1.2.3.4/-1",
        "1.2.3.4/",
        "1.2.3.4/8/8",
        ":::",
        "1:2:3:4:5:6:7",
        "1:2:3:4:5:6:7:8:9",
        "::g",
        "::1/129",
        "12345::",
        "::ffff:1.2.3.4",
        "1::2::3",
    ];
    for id in invalid {
        assert!(!is_valid(&ip(id), Policy::default()), "{id}");
    }
}

#[test]
fn each_scheme_has_its_own_form_and_can_be_off() {
    // A scheme that the server does not have is as unknown as one that never was.
    let all = Policy { x509_scheme: true, sasl_scheme: true, ..Policy::default() };
    let cases = [
        ("digest", "user:hash", true),
        ("digest", "user:hash:", true),
        ("digest", "user:", false),
        ("digest", "user", false),
        ("digest", "a:b:c", false),
        ("x509", "CN=a,OU=b", true),
        ("x509", "CN=a\\,b,O=\"c,d\"", true),
        ("x509", "nobody", false),
        ("sasl", "bob", true),
        ("sasl", "bob/host@REALM", true),
        ("sasl", "a/b/c@REALM", false),
        ("sasl", "a@b@c", false),
        ("super", "", false),
        ("world", "someone", false),
        ("none", "x", false),
    ];
    for (scheme, id, valid) in cases {
        let id = Id::new(scheme, id);
        assert_eq!(is_valid(&id, all), valid, "{id}");
        let none = Policy { no_digest_scheme: true, ..Policy::default() };
        assert!(!is_valid(&id, none), "{id}");
        assert_eq!(matches(&id, &id, all), matches!(scheme, "digest" | "x509" | "sasl"), "{id}");
        assert!(!matches(&id, &id, none), "{id}");
    }
    assert!(matches(&Id::new("sasl", "bob"), &Id::new("sasl", "super"), all));
}
