//! Transfers between accounts: whoever reads all balances at once sees the same sum.

use super::{Anomaly, Promise};

/// Checks what multiReads of all accounts showed; `total` is what there is.
#[must_use]
pub fn check(audits: &[Vec<i64>], accounts: usize, total: i64) -> Vec<Anomaly> {
    let wrong = audits
        .iter()
        .filter(|balances| balances.len() != accounts || balances.iter().sum::<i64>() != total);
    wrong
        .map(|balances| {
            let sum: i64 = balances.iter().sum();
            Anomaly::new(
                Promise::Atomic,
                format!("{accounts} accounts with {total}, but read {balances:?}: {sum}"),
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn half_a_transfer_is_found() {
        // Money that is under way, doubled or gone breaks the sum; moved money does not.
        assert!(check(&[vec![50, 50], vec![0, 100], vec![-5, 105]], 2, 100).is_empty());
        assert_eq!(check(&[vec![50, 50], vec![40, 50]], 2, 100).len(), 1);
        assert_eq!(check(&[vec![100]], 2, 100).len(), 1);
    }
}
