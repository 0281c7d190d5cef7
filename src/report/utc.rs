//! Times of blocks, spelled in UTC.
//!
//! Temperature: cold.

pub(super) const DAY_S: u64 = 86_400;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Later than any block, and early enough to count years up to it.
const LATEST_S: u64 = 253_402_300_799;

/// Year, month (from 0) and day (from 1) of a time since 1970.
fn date_parts(timestamp: u64) -> (u64, usize, u64) {
    let mut days = timestamp.min(LATEST_S) / DAY_S;
    let is_leap =
        |year: u64| year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
    let mut year = 1970;
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let lengths = [31, 28 + u64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while days >= lengths[month] {
        days -= lengths[month];
        month += 1;
    }
    (year, month, days + 1)
}

/// For example `3 May 2024`.
pub(super) fn date(timestamp: u64) -> String {
    let (year, month, day) = date_parts(timestamp);
    format!("{day} {} {year}", MONTHS[month])
}

/// For example `3 May`.
pub(super) fn day(timestamp: u64) -> String {
    let (_, month, day) = date_parts(timestamp);
    format!("{day} {}", MONTHS[month])
}

/// For example `14:05`.
pub(super) fn minute(timestamp: u64) -> String {
    let minutes = timestamp % DAY_S / 60;
    format!("{:02}:{:02}", minutes / 60, minutes % 60)
}

/// For example `14:05:11`.
pub(super) fn second(timestamp: u64) -> String {
    format!("{}:{:02}", minute(timestamp), timestamp % 60)
}

/// From one time to another, without saying a date twice.
pub(super) fn span(first: u64, last: u64) -> String {
    let [from, to] = [first, last].map(|time| format!("{}, {}", date(time), minute(time)));
    if from == to {
        format!("{from} UTC")
    } else if first / DAY_S == last / DAY_S {
        format!("{from}–{} UTC", minute(last))
    } else {
        format!("{from} – {to} UTC")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_right_around_leap_days_and_at_the_ends() {
        let dates = [0, 951_782_400, 951_868_800, 1_709_164_800, 1_735_689_599, 4_107_542_400];
        let spelled =
            ["1 Jan 1970", "29 Feb 2000", "1 Mar 2000", "29 Feb 2024", "31 Dec 2024", "1 Mar 2100"];
        assert_eq!(dates.map(date), spelled);
        assert_eq!(date(u64::MAX), "31 Dec 9999");
        assert_eq!(day(951_782_400), "29 Feb");
    }

    #[test]
    fn a_span_says_each_date_once() {
        assert_eq!(span(50_400, 50_459), "1 Jan 1970, 14:00 UTC");
        assert_eq!(span(50_400, 54_000), "1 Jan 1970, 14:00–15:00 UTC");
        assert_eq!(span(50_400, 90_000), "1 Jan 1970, 14:00 – 2 Jan 1970, 01:00 UTC");
        assert_eq!(second(50_471), "14:01:11");
    }
}
