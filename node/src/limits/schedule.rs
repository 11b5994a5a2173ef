//! Which limits hold at which time of day. Pure: the time is passed in.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::rate::Rate;

const DAY: u16 = 24 * 60;

/// A time of day, in minutes since midnight; 24:00 is the end of the day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Time(u16);

/// A daily window, in local time. It ends before `to`, and runs over midnight if `to` comes before `from`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// When it begins.
    pub from: Time,
    /// When it ends.
    pub to: Time,
    /// How much may be sent to all peers together meanwhile; what holds otherwise if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up: Option<Rate>,
    /// How much may be received from all peers together meanwhile; what holds otherwise if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub down: Option<Rate>,
}

/// Why a text is no time of day.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no time of day such as \"08:00\" or \"23:30\"")]
pub struct ParseTimeError {
    text: String,
}

impl FromStr for Time {
    type Err = ParseTimeError;

    fn from_str(text: &str) -> Result<Self, ParseTimeError> {
        let minutes = || {
            let (hours, minutes) = text.split_once(':')?;
            let two = |part: &str| (part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit())).then_some(());
            two(hours)?;
            two(minutes)?;
            let (hours, minutes) = (hours.parse::<u16>().ok()?, minutes.parse::<u16>().ok()?);
            (minutes < 60 && hours * 60 + minutes <= DAY).then_some(hours * 60 + minutes)
        };
        minutes().map(Self).ok_or_else(|| ParseTimeError { text: text.to_owned() })
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

impl TryFrom<String> for Time {
    type Error = ParseTimeError;

    fn try_from(text: String) -> Result<Self, ParseTimeError> {
        text.parse()
    }
}

impl From<Time> for String {
    fn from(time: Time) -> Self {
        time.to_string()
    }
}

impl Window {
    /// Reports whether the window is open at this minute of the day. One that begins when it ends is always open.
    fn holds(&self, minute: u16) -> bool {
        let (from, to) = (self.from.0 % DAY, self.to.0);
        if from < to { (from..to).contains(&minute) } else { minute >= from || minute < to }
    }
}

/// Returns the limit at this minute of the day: what the first open window says about it, or else `otherwise`.
pub(super) fn at(
    schedule: &[Window],
    minute: u16,
    otherwise: Rate,
    direction: impl Fn(&Window) -> Option<Rate>,
) -> Rate {
    schedule.iter().filter(|window| window.holds(minute)).find_map(direction).unwrap_or(otherwise)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(from: &str, to: &str, up: Option<&str>) -> Window {
        let up = up.map(|up| up.parse().unwrap());
        Window { from: from.parse().unwrap(), to: to.parse().unwrap(), up, down: None }
    }

    fn minute(text: &str) -> u16 {
        text.parse::<Time>().unwrap().0
    }

    #[test]
    fn times_are_two_digits_twice() {
        assert_eq!([minute("00:00"), minute("08:30"), minute("24:00")], [0, 510, 1440]);
        for text in ["", "8:00", "08:60", "24:01", "08", "08:00:00", "+8:00", "-1:00", "0８:00"] {
            assert!(text.parse::<Time>().is_err(), "{text}");
        }
        assert_eq!(Time(510).to_string(), "08:30");
    }

    #[test]
    fn a_window_opens_at_its_start_and_closes_before_its_end() {
        let day = window("08:00", "18:00", None);
        assert_eq!(["07:59", "08:00", "17:59", "18:00"].map(|at| day.holds(minute(at))), [false, true, true, false]);
        assert!(window("08:00", "24:00", None).holds(minute("23:59")));
    }

    #[test]
    fn a_window_may_run_over_midnight_or_the_whole_day() {
        let night = window("22:00", "06:00", None);
        let open = ["21:59", "22:00", "00:00", "05:59", "06:00"].map(|at| night.holds(minute(at)));
        assert_eq!(open, [false, true, true, true, false]);
        assert!((0..DAY).all(|at| window("00:00", "00:00", None).holds(at)));
        assert!((0..DAY).all(|at| window("00:00", "24:00", None).holds(at)));
        assert!(window("24:00", "01:00", None).holds(0) && !window("24:00", "01:00", None).holds(60));
    }

    #[test]
    fn the_first_open_window_that_says_something_wins() {
        let schedule = [
            window("08:00", "18:00", None),
            window("12:00", "13:00", Some("")),
            window("08:00", "20:00", Some("1 MiB/s")),
        ];
        let rate = |text: &str| text.parse::<Rate>().unwrap();
        let up = |time: &str| at(&schedule, minute(time), rate("5 MiB/s"), |window| window.up);
        assert_eq!(up("07:00"), rate("5 MiB/s"));
        assert_eq!(up("08:00"), rate("1 MiB/s"));
        assert_eq!(up("12:30"), rate(""), "no limit at noon");
        assert_eq!(up("19:59"), rate("1 MiB/s"));
    }
}
