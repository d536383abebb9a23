//! Text that somebody else said: escaped, bounded, and without anything that a browser or a reader would be led astray by.

use crate::report::transcript::is_obeyed;
use maud::Render;

/// The longest text that a line shows, in characters.
const LINE: usize = 1_000;

/// A text that somebody else said. Characters that cannot be seen, or that turn the direction of writing around, are written
/// out as Rust writes them, and marked.
pub(super) struct Told<'a> {
    text: &'a str,
    most: usize,
    /// Whether a line end also begins a new line.
    breaks: bool,
}

impl<'a> Told<'a> {
    /// In one line.
    pub(super) fn line(text: &'a str) -> Self {
        Self::upto(text, LINE)
    }

    /// In one line of at most so many characters.
    pub(super) fn upto(text: &'a str, most: usize) -> Self {
        Self { text, most, breaks: false }
    }

    /// In as many lines as it has, with at most so many characters.
    pub(super) fn block(text: &'a str, most: usize) -> Self {
        Self { text, most, breaks: true }
    }
}

impl Render for Told<'_> {
    fn render_to(&self, page: &mut String) {
        for (count, c) in self.text.chars().enumerate() {
            if count == self.most {
                page.push_str("<i>…</i>");
                return;
            }
            match c {
                '&' => page.push_str("&amp;"),
                '<' => page.push_str("&lt;"),
                '>' => page.push_str("&gt;"),
                '"' => page.push_str("&quot;"),
                '\'' => page.push_str("&#39;"),
                '\n' if self.breaks => page.push_str("<i>\\n</i>\n"),
                c if is_obeyed(c) || is_unseen(c) => {
                    page.push_str("<i>");
                    page.extend(c.escape_default());
                    page.push_str("</i>");
                }
                c => page.push(c),
            }
        }
    }
}

/// What takes no room, so that two texts may look alike and be different.
fn is_unseen(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::Told;
    use maud::Render;

    #[test]
    fn nothing_that_was_said_is_markup() {
        let said = "</script><img src=x onerror=\"a\">' & \0\u{1b}[31m\u{202e}\u{200b}\r\n";
        let expected = "&lt;/script&gt;&lt;img src=x onerror=&quot;a&quot;&gt;&#39; &amp; <i>\\u{0}</i><i>\\u{1b}</i>[31m\
                        <i>\\u{202e}</i><i>\\u{200b}</i><i>\\r</i><i>\\n</i>";
        assert_eq!(Told::line(said).render().0, expected);
        assert_eq!(Told::block("a\nb", 9).render().0, "a<i>\\n</i>\nb");
        assert_eq!(Told::upto("ab<c>", 3).render().0, "ab&lt;<i>…</i>");
    }
}
