//! Decodes query strings like the crate `form_urlencoded`, with fewer instructions: most names and values of a poll are not encoded, and
//! those that are have few escapes.

use std::borrow::Cow;

/// Returns the decoded names and values of a query string (WHATWG URL, section 5.1).
pub(super) fn pairs(query: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    Pairs(query).filter(|pair| !pair.is_empty).map(|pair| (decoded(pair.name), decoded(pair.value)))
}

/// The rest of a query string.
struct Pairs<'a>(&'a str);

struct Pair<'a> {
    name: Encoded<'a>,
    value: Encoded<'a>,
    is_empty: bool,
}

struct Encoded<'a> {
    text: &'a str,
    is_encoded: bool,
}

impl<'a> Iterator for Pairs<'a> {
    type Item = Pair<'a>;

    /// Finds everything in one pass over the bytes.
    fn next(&mut self) -> Option<Pair<'a>> {
        let text = self.0;
        if text.is_empty() {
            return None;
        }
        let (mut end, mut equals, mut name_is_encoded, mut value_is_encoded) = (text.len(), None, false, false);
        for (index, byte) in text.bytes().enumerate() {
            // Most bytes are letters and digits.
            if byte > b'=' || byte.is_ascii_digit() {
                continue;
            }
            match byte {
                b'&' => {
                    end = index;
                    break;
                }
                b'=' if equals.is_none() => equals = Some(index),
                b'%' | b'+' if equals.is_none() => name_is_encoded = true,
                b'%' | b'+' => value_is_encoded = true,
                _ => {}
            }
        }
        let part = |range| text.get(range).unwrap_or_default();
        self.0 = part(end + usize::from(end < text.len())..text.len());
        let name_end = equals.unwrap_or(end);
        Some(Pair {
            name: Encoded { text: part(0..name_end), is_encoded: name_is_encoded },
            value: Encoded { text: part(equals.map_or(end, |equals| equals + 1)..end), is_encoded: value_is_encoded },
            is_empty: end == 0,
        })
    }
}

fn decoded(Encoded { text, is_encoded }: Encoded<'_>) -> Cow<'_, str> {
    if is_encoded { decode_escapes(text) } else { Cow::Borrowed(text) }
}

fn decode_escapes(text: &str) -> Cow<'_, str> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some(plain) = rest.iter().position(|byte| matches!(byte, b'%' | b'+')) {
        let (before, encoded) = rest.split_at(plain);
        decoded.extend_from_slice(before);
        let (byte, length) = match (encoded, escape(encoded)) {
            (_, Some(byte)) => (byte, ESCAPE_BYTES),
            ([b'+', ..], None) => (b' ', 1),
            (_, None) => (b'%', 1),
        };
        decoded.push(byte);
        rest = encoded.get(length..).unwrap_or_default();
    }
    decoded.extend_from_slice(rest);
    match String::from_utf8(decoded) {
        Ok(text) => Cow::Owned(text),
        Err(error) => Cow::Owned(String::from_utf8_lossy(error.as_bytes()).into_owned()),
    }
}

const ESCAPE_BYTES: usize = 3;

/// Returns the byte that an escape at the beginning stands for.
fn escape(encoded: &[u8]) -> Option<u8> {
    match encoded {
        [b'%', high, low, ..] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    }
}

/// Returns the value of a hexadecimal digit.
fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(query: &str) {
        let expected: Vec<_> = form_urlencoded::parse(query.as_bytes()).collect();
        assert_eq!(pairs(query).collect::<Vec<_>>(), expected, "{query:?}");
    }

    #[test]
    fn decodes_escapes_and_spaces() {
        for query in
            ["", "a", "=", "=&", "&&", "a=b=c&d", "a+b=%20", "%", "%4", "%zz%41%", "a=%C3%A9&b=%FF%C3", "é=%+%2B+"]
        {
            check(query);
        }
    }

    proptest! {
        #[test]
        fn decodes_like_the_standard(query in "([a-f0-9=&+]|%|%[0-9a-fA-F]{0,2}|\\PC){0,40}") {
            check(&query);
        }
    }
}
