//! Lines of JSON that may be longer than memory: the text in `{"key": …, "value": {"content": "<here>"}}` is taken out
//! as it comes, the rest is collected and is a small line of JSON with an empty text in that place.
//!
//! Only what is needed to find that text is understood here; whether a line is JSON at all, its reader finds out.

use axum::Error;
use bytes::{Buf, Bytes};
use futures::{StreamExt, stream::BoxStream};

use crate::{body::broken_off, error::ApiError};

/// The longest line without its content, in bytes.
const MAX_LINE: usize = 1 << 20;
/// The most bytes of all lines without their contents.
const MAX_LINES: usize = 64 << 20;
/// How deep the content is: in the value of the line.
const CONTENT_DEPTH: usize = 2;

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// A content begins; `piece` returns it.
    Content,
    /// A line ends; this is all of it but the content.
    Line(Vec<u8>),
}

/// Reads lines from the body of a request.
pub(super) struct Lines {
    body: BoxStream<'static, Result<Bytes, Error>>,
    chunk: Bytes,
    line: Vec<u8>,
    total: usize,
    place: Place,
}

/// Where in a line we are.
#[derive(Debug, Default)]
struct Place {
    depth: usize,
    /// Where the text that is open, or that ended last, starts in the line.
    text: usize,
    in_text: bool,
    is_escaped: bool,
    /// Whether the last text was `content`.
    is_content: bool,
    /// Whether a colon, and no value yet, followed it.
    is_due: bool,
}

impl Place {
    /// Steps over a byte outside of the content, and reports whether the content begins behind it.
    fn step(&mut self, byte: u8, line: &[u8]) -> bool {
        if self.in_text {
            match byte {
                _ if self.is_escaped => self.is_escaped = false,
                b'\\' => self.is_escaped = true,
                b'"' => {
                    self.in_text = false;
                    self.is_content = self.depth == CONTENT_DEPTH && &line[self.text..] == b"content";
                }
                _ => {}
            }
            return false;
        }
        match byte {
            b' ' | b'\t' | b'\r' => {}
            b':' => self.is_due = std::mem::take(&mut self.is_content),
            b'"' if self.is_due => return true,
            b'"' => {
                self.in_text = true;
                self.text = line.len() + 1;
            }
            _ => {
                self.is_due = false;
                self.is_content = false;
                match byte {
                    b'{' | b'[' => self.depth += 1,
                    b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                    _ => {}
                }
            }
        }
        false
    }
}

impl Lines {
    pub(super) fn new(body: BoxStream<'static, Result<Bytes, Error>>) -> Self {
        // The last line may end with the body, which is then asked once more.
        Self { body: body.fuse().boxed(), chunk: Bytes::new(), line: Vec::new(), total: 0, place: Place::default() }
    }

    /// Returns what comes next, or nothing at the end. A content has to be read to its end before.
    pub(super) async fn next(&mut self) -> Result<Option<Event>, ApiError> {
        loop {
            while self.chunk.has_remaining() {
                let byte = self.chunk.get_u8();
                if byte == b'\n' {
                    if let Some(line) = self.end_line() {
                        return Ok(Some(line));
                    }
                    continue;
                }
                let is_content = self.place.step(byte, &self.line);
                self.line.push(byte);
                self.total += 1;
                if self.line.len() > MAX_LINE || self.total > MAX_LINES {
                    return Err(ApiError::TooLarge);
                }
                if is_content {
                    return Ok(Some(Event::Content));
                }
            }
            if !self.fill().await? {
                return Ok(self.end_line());
            }
        }
    }

    /// Returns the next part of a content, or nothing at its end.
    pub(super) async fn piece(&mut self) -> Result<Option<Bytes>, ApiError> {
        match self.byte().await? {
            b'"' => {
                self.chunk.advance(1);
                self.line.push(b'"');
                self.place.is_due = false;
                Ok(None)
            }
            b'\\' => {
                self.chunk.advance(1);
                // Of what base64 is made of, some writers escape the slash.
                match self.byte().await? {
                    b'/' => Ok(Some(self.chunk.split_to(1))),
                    _ => Err(invalid("the content of a file is not base64")),
                }
            }
            _ => {
                let end = self.chunk.iter().position(|byte| matches!(byte, b'"' | b'\\'));
                Ok(Some(self.chunk.split_to(end.unwrap_or(self.chunk.len()))))
            }
        }
    }

    /// Returns the byte that is next, within a content.
    async fn byte(&mut self) -> Result<u8, ApiError> {
        if self.fill().await? { Ok(self.chunk[0]) } else { Err(invalid("a text has no end")) }
    }

    fn end_line(&mut self) -> Option<Event> {
        self.place = Place::default();
        let line = std::mem::take(&mut self.line);
        (!line.trim_ascii().is_empty()).then_some(Event::Line(line))
    }

    /// Waits for more, and reports whether it came.
    async fn fill(&mut self) -> Result<bool, ApiError> {
        while self.chunk.is_empty() {
            match self.body.next().await {
                Some(chunk) => self.chunk = chunk.map_err(|error| broken_off(&error))?,
                None => return Ok(false),
            }
        }
        Ok(true)
    }
}

fn invalid(reason: &str) -> ApiError {
    ApiError::BadRequest { reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt, stream};

    use super::*;

    /// Reads lines that come in pieces of `cut` bytes: each line, after the content in it.
    fn read(text: &[u8], cut: usize) -> Result<Vec<(Option<String>, String)>, ApiError> {
        let chunks: Vec<_> = text.chunks(cut).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
        let mut lines = Lines::new(stream::iter(chunks).boxed());
        let mut all = Vec::new();
        let mut content = None;
        let reading = async {
            while let Some(event) = lines.next().await? {
                match event {
                    Event::Content => {
                        let text = content.get_or_insert_with(String::new);
                        while let Some(piece) = lines.piece().await? {
                            *text += str::from_utf8(&piece).unwrap();
                        }
                    }
                    Event::Line(line) => all.push((content.take(), String::from_utf8(line).unwrap())),
                }
            }
            Ok(all)
        };
        reading.now_or_never().expect("all is there")
    }

    #[test]
    fn the_content_is_taken_out_wherever_it_is() {
        for (line, content, rest) in [
            (
                r#"{"key":"file","value":{"path":"a","content":"QQ=="}}"#,
                Some("QQ=="),
                r#"{"key":"file","value":{"path":"a","content":""}}"#,
            ),
            (
                r#"{"value": {"content" : "QQ==", "path": "a"}, "key": "file"}"#,
                Some("QQ=="),
                r#"{"value": {"content" : "", "path": "a"}, "key": "file"}"#,
            ),
            (r#"{"value":{"content":"a\/b"}}"#, Some("a/b"), r#"{"value":{"content":""}}"#),
            (r#"{"value":{"content":""}}"#, Some(""), r#"{"value":{"content":""}}"#),
            (r#"{"value":{"path":"content","x":"y\\"}}"#, None, r#"{"value":{"path":"content","x":"y\\"}}"#),
            (r#"{"value":{"path":"\"content\":\"x"}}"#, None, r#"{"value":{"path":"\"content\":\"x"}}"#),
            (
                r#"{"content":"x","value":{"y":{"content":"z"}}}"#,
                None,
                r#"{"content":"x","value":{"y":{"content":"z"}}}"#,
            ),
            (r#"{"value":{"content":1,"x":"y"}}"#, None, r#"{"value":{"content":1,"x":"y"}}"#),
            (r#"{"value":{"content":["x"]}}"#, None, r#"{"value":{"content":["x"]}}"#),
        ] {
            let text = format!("{{\"key\":\"header\"}}\r\n\n{line}\n{line}");
            for cut in 1..text.len() {
                let lines = read(text.as_bytes(), cut).unwrap();
                let expected = (content.map(str::to_owned), rest.to_owned());
                assert_eq!(lines[1..], [expected.clone(), expected], "{line} cut at {cut}");
                assert_eq!(lines[0], (None, "{\"key\":\"header\"}\r".to_owned()));
            }
        }
    }

    #[test]
    fn a_content_that_does_not_end_or_is_escaped_is_refused() {
        for text in [r#"{"value":{"content":"QQ"#, r#"{"value":{"content":"QQ\"#, r#"{"value":{"content":"\u0041"}}"#] {
            for cut in 1..=text.len() {
                assert!(read(text.as_bytes(), cut).is_err(), "{text} cut at {cut}");
            }
        }
    }

    #[test]
    fn only_a_content_may_be_long() {
        let long = "A".repeat(MAX_LINE);
        let content = format!(r#"{{"value":{{"content":"{long}{long}"}}}}"#);
        assert_eq!(read(content.as_bytes(), 4096).unwrap()[0].0.as_ref().map(String::len), Some(2 * MAX_LINE));
        let escaped = format!(r#"{{"value":{{"c\u006fntent":"{long}"}}}}"#);
        assert_eq!(read(escaped.as_bytes(), 4096), Err(ApiError::TooLarge));
        assert_eq!(read("[".repeat(MAX_LINE + 1).as_bytes(), 4096), Err(ApiError::TooLarge));
        let many = format!("{{\"path\":\"{}\"}}\n", "x".repeat(MAX_LINE / 2)).repeat(130);
        assert_eq!(read(many.as_bytes(), 4096), Err(ApiError::TooLarge));
    }
}
