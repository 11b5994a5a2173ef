//! Walks through the opcodes of pickles, protocols 0 to 5, and notes what they import. Nothing is executed.
//!
//! A file may hold several, one after the other, and strings in them may be pickles again. Pickles of protocols 0 and 1
//! have no mark of their own, and any text could begin as one: such a stream counts only if it imports something and
//! then either ends as a pickle does or calls something, without a mistake before that.

use std::io::{self, BufRead, ErrorKind, Read};

use super::{Found, machine::Machine};

/// The most pickles in a row that are looked at.
const MAX_STREAMS: usize = 1 << 20;
/// How deep pickles in strings of pickles are followed.
const MAX_DEPTH: usize = 4;
/// The longest string that is looked at as a pickle, and the longest line, in bytes.
const MAX_NESTED: u64 = 1 << 20;
const MAX_LINE: u64 = 64 << 10;
/// The shortest string that could import something and call it.
const MIN_NESTED: usize = 8;
/// How a pickle of protocol 2 or more begins.
const MARK: u8 = 0x80;
/// The highest protocol there is.
const HIGHEST: u8 = 5;

/// Looks for pickles, one after the other, at the start of some bytes.
///
/// # Errors
/// If the bytes cannot be read.
pub(super) fn inspect(bytes: &mut impl BufRead, found: &mut Found) -> io::Result<()> {
    streams(bytes, found, 0)
}

fn streams(bytes: &mut dyn BufRead, found: &mut Found, depth: usize) -> io::Result<()> {
    for _ in 0..MAX_STREAMS {
        let Some(first) = bytes.fill_buf()?.first().copied() else { return Ok(()) };
        let mut walk = Walk::new(bytes, first, depth);
        let end = walk.run()?;
        let Walk { imports, has_called, nested, is_strict, .. } = walk;
        let is_whole = end == End::Stop;
        let counts = match is_strict {
            false => is_whole || !imports.is_empty(), // it has a mark
            true => !imports.is_empty() && (is_whole || has_called),
        };
        if counts || nested.is_pickle {
            found.is_pickle = true;
            imports.into_iter().for_each(|(module, name)| found.import(module, name));
            nested.imports.into_keys().for_each(|(module, name)| found.import(module, name));
            match end {
                End::Stop => {}
                End::Cut => found.problem("a pickle in it ends too early"),
                End::Broken => found.problem("a pickle in it cannot be read to its end"),
                End::Full => found.problem("a pickle in it is too deep to be looked at to its end"),
            }
        }
        if !is_whole {
            return Ok(());
        }
    }
    found.is_pickle = true;
    found.problem("it has too many pickles to look at all of them");
    Ok(())
}

/// Reports whether bytes that begin like this are no pickle, whatever follows.
pub(super) fn breaks_at_once(mut first: &[u8]) -> bool {
    let Some(mark) = first.first().copied() else { return false };
    let mut walk = Walk::new(&mut first, mark, 0);
    let is_broken = matches!(walk.run(), Ok(End::Broken));
    is_broken && walk.imports.is_empty() && !walk.nested.is_pickle
}

/// How a walk ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// With the opcode for it.
    Stop,
    /// With the bytes.
    Cut,
    /// With something that is no opcode, or that the unpickler would refuse.
    Broken,
    /// With more than is kept.
    Full,
}

struct Walk<'a> {
    bytes: &'a mut dyn BufRead,
    machine: Machine,
    imports: Vec<(String, String)>,
    /// Ends at the first mistake.
    is_strict: bool,
    /// Something was called after something was imported.
    has_called: bool,
    depth: usize,
    /// What was found in strings.
    nested: Found,
}

impl<'a> Walk<'a> {
    fn new(bytes: &'a mut dyn BufRead, first: u8, depth: usize) -> Self {
        Self {
            bytes,
            machine: Machine::default(),
            imports: Vec::new(),
            is_strict: first != MARK || depth > 0,
            has_called: false,
            depth,
            nested: Found::default(),
        }
    }

    fn run(&mut self) -> io::Result<End> {
        loop {
            match self.step() {
                Ok(None) if self.machine.is_full => return Ok(End::Full),
                Ok(None) if self.machine.is_broken && self.is_strict => return Ok(End::Broken),
                Ok(None) => {}
                Ok(Some(End::Stop)) if self.machine.is_broken && self.is_strict => return Ok(End::Broken),
                Ok(Some(end)) => return Ok(end),
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(End::Cut),
                Err(error) => return Err(error),
            }
        }
    }

    /// Does one opcode; says so if it is the last.
    fn step(&mut self) -> io::Result<Option<End>> {
        let [opcode] = self.array()?;
        let machine = &mut self.machine;
        match opcode {
            b'(' => machine.push_mark(),
            b'.' => {
                machine.needs_one();
                return Ok(Some(End::Stop));
            }
            b'0' => machine.pop_or_mark(),
            b'1' => drop(machine.pop_to_mark()),
            b'2' => machine.dup(),
            b'N' | b')' | b']' | b'}' | 0x88 | 0x89 | 0x8f | 0x97 => machine.push(),
            0x98 => machine.needs_one(),
            b'I' | b'F' | b'L' => self.number()?,
            b'J' => self.skip_and_push(4)?,
            b'K' => self.skip_and_push(1)?,
            b'M' => self.skip_and_push(2)?,
            b'G' => self.skip_and_push(8)?,
            0x8a => {
                let length = self.length::<1>()?;
                self.skip_and_push(length)?;
            }
            0x8b => {
                let length = self.length::<4>()?;
                self.skip_and_push(length)?;
            }
            b'S' | b'V' => self.line_text(opcode)?,
            b'U' | b'C' | 0x8c => self.string(opcode, Self::length::<1>)?,
            b'T' | b'B' | b'X' => self.string(opcode, Self::length::<4>)?,
            0x8d | 0x8e | 0x96 => self.string(opcode, Self::length::<8>)?,
            b'a' | b'b' => {
                machine.pop(1);
                machine.needs_one();
                self.has_called |= opcode == b'b' && !self.imports.is_empty() && !self.machine.is_broken;
            }
            b's' => {
                machine.pop(2);
                machine.needs_one();
            }
            b'e' | b'u' | 0x90 => {
                machine.pop_to_mark();
                machine.needs_one();
            }
            b'l' | b'd' | b't' | 0x91 => {
                machine.pop_to_mark();
                machine.push();
            }
            0x85..=0x87 => {
                machine.pop(usize::from(opcode - 0x84));
                machine.push();
            }
            b'R' | 0x81 => self.call(2),
            0x92 => self.call(3),
            b'o' => {
                self.machine.is_broken |= self.machine.pop_to_mark() == 0;
                self.call(0);
            }
            b'c' => {
                self.global()?;
                self.machine.push();
            }
            b'i' => {
                self.global()?;
                self.machine.pop_to_mark();
                self.call(0);
            }
            0x93 => {
                let names = machine.pop_names();
                machine.push();
                if !machine.is_broken || !self.is_strict {
                    self.imports.push(names);
                }
            }
            0x82 => self.extension::<1>()?,
            0x83 => self.extension::<2>()?,
            0x84 => self.extension::<4>()?,
            b'P' => {
                self.line()?;
                self.machine.push();
            }
            b'Q' => {
                machine.pop(1);
                machine.push();
            }
            b'p' | b'g' => {
                let line = self.line()?;
                let at = place(&line);
                if opcode == b'p' { self.machine.put(at) } else { self.machine.take(at) }
            }
            b'q' | b'r' => {
                let at = if opcode == b'q' { self.length::<1>()? } else { self.length::<4>()? };
                self.machine.put(Some(at));
            }
            b'h' | b'j' => {
                let at = if opcode == b'h' { self.length::<1>()? } else { self.length::<4>()? };
                self.machine.take(Some(at));
            }
            0x94 => machine.memoize(),
            MARK => {
                let [version] = self.array()?;
                // The unpickler refuses what it does not know.
                self.machine.is_broken |= version > HIGHEST;
            }
            0x95 => drop(self.array::<8>()?), // how much to read ahead: it changes nothing
            _ => return Ok(Some(End::Broken)),
        }
        Ok(None)
    }

    /// Takes what is called and its arguments, and pushes what comes back.
    fn call(&mut self, takes: usize) {
        self.machine.pop(takes);
        self.machine.push();
        self.has_called |= !self.imports.is_empty() && !self.machine.is_broken;
    }

    fn global(&mut self) -> io::Result<()> {
        let (module, name) = (self.line()?, self.line()?);
        let text = |line: Vec<u8>| String::from_utf8(line).ok().filter(|text| text.len() <= 512 && !text.is_empty());
        match (text(module), text(name)) {
            (Some(module), Some(name)) => self.imports.push((module, name)),
            _ => self.machine.is_broken = true, // nothing of such a name can be imported
        }
        Ok(())
    }

    /// What the running program registered under a number.
    fn extension<const N: usize>(&mut self) -> io::Result<()> {
        let code = self.length::<N>()?;
        self.imports.push(("copyreg.extension".to_owned(), code.to_string()));
        self.machine.push();
        Ok(())
    }

    /// A number in digits. What is none would end it; any text could begin like this.
    fn number(&mut self) -> io::Result<()> {
        let line = self.line()?;
        let is_number = line.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+-._ ".contains(byte));
        self.machine.is_broken |= !is_number || line.is_empty();
        self.machine.push();
        Ok(())
    }

    /// A text up to the end of the line: quoted, or in Python's raw escapes.
    fn line_text(&mut self, opcode: u8) -> io::Result<()> {
        let line = self.line()?;
        let text = match opcode {
            b'S' => {
                let line = line.trim_ascii();
                let inner = match line {
                    [b'\'', inner @ .., b'\''] | [b'"', inner @ .., b'"'] => inner,
                    _ => {
                        self.machine.is_broken = true;
                        line
                    }
                };
                inner.to_vec()
            }
            _ => line,
        };
        // An escape could spell anything.
        let plain = std::str::from_utf8(&text).ok().filter(|text| text.is_ascii() && !text.contains('\\'));
        self.machine.push_text(plain);
        self.nested(&text)
    }

    /// A text or bytes behind their length.
    fn string(&mut self, opcode: u8, length: impl Fn(&mut Self) -> io::Result<u64>) -> io::Result<()> {
        let length = length(self)?;
        let mut start = Vec::new();
        self.bytes.take(length.min(MAX_NESTED)).read_to_end(&mut start)?;
        if (start.len() as u64) < length.min(MAX_NESTED) {
            self.nested(&start)?;
            return Err(ErrorKind::UnexpectedEof.into());
        }
        self.skip(length - start.len() as u64)?;
        let is_whole = start.len() as u64 == length;
        match opcode {
            b'C' | b'B' | 0x8e | 0x96 => self.machine.push(),
            _ => self.machine.push_text(std::str::from_utf8(&start).ok().filter(|_| is_whole)),
        }
        if matches!(opcode, b'X' | 0x8c | 0x8d)
            && let Ok(text) = std::str::from_utf8(&start)
            && text.starts_with('\u{80}')
        {
            // Protocols below 3 have no bytes: they write them as letters of Latin-1.
            let bytes: Vec<u8> = text.chars().map_while(|letter| u8::try_from(letter).ok()).collect();
            return self.nested(&bytes);
        }
        self.nested(&start)
    }

    /// Looks at a string as if it were a pickle.
    fn nested(&mut self, string: &[u8]) -> io::Result<()> {
        if string.len() < MIN_NESTED {
            return Ok(());
        }
        if self.depth < MAX_DEPTH {
            let mut bytes = string;
            streams(&mut bytes, &mut self.nested, self.depth + 1)?;
        } else if string.starts_with(&[MARK]) {
            self.nested.problem("pickles in it are too deep in pickles");
        }
        Ok(())
    }

    fn array<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut array = [0; N];
        self.bytes.read_exact(&mut array)?;
        Ok(array)
    }

    /// Reads a little-endian number of up to eight bytes.
    fn length<const N: usize>(&mut self) -> io::Result<u64> {
        let mut wide = [0; 8];
        wide[..N].copy_from_slice(&self.array::<N>()?);
        Ok(u64::from_le_bytes(wide))
    }

    fn skip_and_push(&mut self, count: u64) -> io::Result<()> {
        self.skip(count)?;
        self.machine.push();
        Ok(())
    }

    fn skip(&mut self, mut count: u64) -> io::Result<()> {
        while count > 0 {
            let here = self.bytes.fill_buf()?.len();
            if here == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            let taken = here.min(usize::try_from(count).unwrap_or(usize::MAX));
            self.bytes.consume(taken);
            count -= taken as u64;
        }
        Ok(())
    }

    /// Reads up to the end of the line, which is left out.
    fn line(&mut self) -> io::Result<Vec<u8>> {
        let mut line = Vec::new();
        self.bytes.take(MAX_LINE).read_until(b'\n', &mut line)?;
        match line.pop() {
            Some(b'\n') => Ok(line),
            Some(_) if line.len() as u64 + 1 == MAX_LINE => {
                self.machine.is_full = true; // nobody needs so long a line
                Ok(line)
            }
            _ => Err(ErrorKind::UnexpectedEof.into()),
        }
    }
}

/// Reads a place in the memo; Python takes more forms of numbers than this, and then nobody knows what is where.
fn place(line: &[u8]) -> Option<u64> {
    let is_plain = line.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(line).ok().filter(|_| is_plain)?.parse().ok()
}
