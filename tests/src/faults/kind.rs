//! The ways to let others down, and what they are called on the command line of `liar`.

use std::{fmt, str::FromStr};

use anyhow::{Error, bail};

/// How a peer that claims to hold everything lets others down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It does not: a control for measurements.
    Honest,
    /// Flips one bit of every group that starts at this offset or later.
    Flips { from: u64 },
    /// Claims that the blob is larger by this many bytes; 0 doubles it.
    WrongSize { more: u64 },
    /// Keeps the last group of every answer back, so that 99 % of what was asked for arrives; a single group it sends.
    Stalls,
    /// Sends this many bytes a second, for ever.
    Trickles { rate: u64 },
    /// Closes the connection after this many bytes, and is there again when called.
    Disconnects { after: u64 },
    /// Takes every request and answers none.
    Silent,
    /// Is gone for good after this many bytes in all.
    Leaves { after: u64 },
}

impl Kind {
    /// Reports whether what it sends is not what the blob's name says: a lie that can be proven.
    pub fn is_false(self) -> bool {
        matches!(self, Self::Flips { .. } | Self::WrongSize { .. })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Honest => f.write_str("honest"),
            Self::Flips { from } => write!(f, "flips={from}"),
            Self::WrongSize { more } => write!(f, "size={more}"),
            Self::Stalls => f.write_str("stalls"),
            Self::Trickles { rate } => write!(f, "trickles={rate}"),
            Self::Disconnects { after } => write!(f, "disconnects={after}"),
            Self::Silent => f.write_str("silent"),
            Self::Leaves { after } => write!(f, "leaves={after}"),
        }
    }
}

impl FromStr for Kind {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (name, number) = text.split_once('=').map_or((text, None), |(name, number)| (name, Some(number)));
        let number = number.map(str::parse).transpose()?;
        Ok(match name {
            "honest" => Self::Honest,
            "flips" => Self::Flips { from: number.unwrap_or(0) },
            "size" => Self::WrongSize { more: number.unwrap_or(0) },
            "stalls" => Self::Stalls,
            "trickles" => Self::Trickles { rate: number.unwrap_or(4) },
            "disconnects" => Self::Disconnects { after: number.unwrap_or(256 << 10) },
            "silent" => Self::Silent,
            "leaves" => Self::Leaves { after: number.unwrap_or(16 << 20) },
            _ => bail!("`{text}` is no kind of liar"),
        })
    }
}
