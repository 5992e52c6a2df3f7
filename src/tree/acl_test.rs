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
    assert!(allowed(&list, std::slice::from_ref(&alice), Perms::WRITE));
    assert!(!allowed(&list, std::slice::from_ref(&alice), Perms::ADMIN));
    assert!(allowed(&list, &[alice], Perms::ADMIN | Perms::WRITE));
    assert!(allowed(&list, &[Id::new("super", "")], Perms::ADMIN));
    assert!(allowed(&[], &[], Perms::ADMIN));
    let skip = Policy { skip_acl: true, ..Policy::default() };
    assert!(check(&AclList::new(&list), &[], Perms::ADMIN, skip).is_ok());
}

#[test]
fn item_27_auth_becomes_the_identities_that_were_proved() {
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
fn item_26_masking_hides_the_hash_and_keeps_the_user() {
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
    for user in 0..10 * PURGE_AT_MIN {
        table.intern(&[acl(1, "digest", &format!("user{user}:1"))]);
    }
    assert!(table.lists.len() <= PURGE_AT_MIN);
    assert!(Arc::ptr_eq(&first, &table.intern(&[acl(1, "digest", "a:1")])));
}
