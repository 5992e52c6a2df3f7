//! Dates as Java's `Date.toString` prints them, in UTC.

const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Milliseconds since 1970 as `Mon Nov 23 20:25:24 UTC 2026`.
pub(super) fn java_date(wall_ms: i64) -> String {
    let seconds = wall_ms.div_euclid(1000);
    let (day, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // 1970 began on a Thursday.
    let name = DAYS[usize::try_from(day.rem_euclid(7)).unwrap_or(0)];
    let (year, month, of_month) = civil(day);
    let month = MONTHS[usize::try_from(month - 1).unwrap_or(0)];
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{name} {month} {of_month:02} {hour:02}:{minute:02}:{second:02} UTC {year}")
}

/// Year, month (1 to 12) and day of the month of a day counted from 1970-01-01, in the Gregorian
/// calendar: counted in eras of 400 years that begin on a first of March.
fn civil(day: i64) -> (i64, i64, i64) {
    let shifted = day + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let of_month = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year + era * 400 + i64::from(month <= 2), month, of_month)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_javas() {
        // Known moments, leap days and the turn of a year.
        let expected = [
            (0, "Thu Jan 01 00:00:00 UTC 1970"),
            (951_782_400_000, "Tue Feb 29 00:00:00 UTC 2000"),
            (1_704_067_199_999, "Sun Dec 31 23:59:59 UTC 2023"),
            (1_795_465_524_000, "Mon Nov 23 20:25:24 UTC 2026"),
            (-1, "Wed Dec 31 23:59:59 UTC 1969"),
        ];
        for (wall_ms, text) in expected {
            assert_eq!(java_date(wall_ms), text);
        }
    }
}
