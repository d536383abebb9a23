//! The file of a baseline, edited: entries come and go; comments, order and wording of the others stay as they are.

use crate::report::{Frame, KnownFailure};
use toml_edit::{Array, ArrayOfTables, DocumentMut, Item, Table, value};

/// The key of the entries.
const KNOWN: &str = "known";

/// The file of a baseline.
pub struct Document {
    /// What stands above the first entry, up to the last empty line there: it is about the whole file.
    head: String,
    entries: Vec<Table>,
    /// What stands below the last entry.
    tail: String,
}

impl Document {
    /// Reads the text of a baseline. Whether its entries make sense is the matter of [`super::Baseline`].
    ///
    /// # Errors
    /// A sentence that says where it is malformed.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut document: DocumentMut = text.parse().map_err(|e: toml_edit::TomlError| e.to_string())?;
        let mut tail = document.trailing().as_str().unwrap_or_default().to_owned();
        let mut entries: Vec<Table> = match document.remove(KNOWN) {
            None => Vec::new(),
            Some(Item::ArrayOfTables(entries)) => entries.into_iter().collect(),
            Some(_) => return Err("`known` is written as a value; write each entry as [[known]]".into()),
        };
        if !document.is_empty() {
            return Err("there is more in it than entries [[known]]".into());
        }
        let head = match entries.first_mut() {
            Some(first) => {
                let above = above(first);
                let (head, own) = above.split_at(above.rfind("\n\n").map_or(0, |end| end + 2));
                first.decor_mut().set_prefix(own);
                head.to_owned()
            }
            None => std::mem::take(&mut tail),
        };
        Ok(Self { head, entries, tail })
    }

    /// Adds an entry before the first one whose check comes later in this order.
    pub fn add(&mut self, entry: &KnownFailure, place: impl Fn(&str) -> usize) {
        let own = place(&entry.check);
        let later = |table: &Table| text(table, "check").is_some_and(|check| place(check) > own);
        let at = self.entries.iter().position(later).unwrap_or(self.entries.len());
        let mut table = Table::new();
        let optional = [("sometimes", &entry.sometimes), ("expires", &entry.expires)];
        for (key, text) in
            [("check", &entry.check), ("requirement", &entry.requirement), ("reason", &entry.reason)]
        {
            table.insert(key, value(text));
        }
        for (key, text) in optional.into_iter().chain([("clause", &entry.clause)]) {
            if let Some(text) = text {
                table.insert(key, value(text));
            }
        }
        if let Some(frame) = &entry.frame {
            table.insert("frame", frames(frame));
        }
        if entry.any_frame {
            table.insert("any-frame", value(true));
        }
        self.entries.insert(at, table);
    }

    /// Says that what an entry lists also fails in these ways.
    pub fn widen(&mut self, entry: &KnownFailure, more: &[String]) {
        for table in self.entries.iter_mut().filter(|table| is_of(table, entry)) {
            let all = entry.frames().iter().chain(more).cloned();
            if let Some(frame) = Frame::of(all) {
                table.insert("frame", frames(&frame));
            }
        }
    }

    /// Removes an entry with the comment above it. False if there is none.
    pub fn remove(&mut self, entry: &KnownFailure) -> bool {
        let before = self.entries.len();
        self.entries.retain(|table| !is_of(table, entry));
        self.entries.len() < before
    }

    /// The text of the file.
    pub fn text(&self) -> String {
        let mut document = DocumentMut::new();
        let mut tables = ArrayOfTables::new();
        for (index, entry) in self.entries.iter().enumerate() {
            let mut entry = entry.clone();
            let own = above(&entry);
            let own = own.trim_start_matches('\n');
            let gap = match index {
                0 if self.head.is_empty() || self.head.ends_with("\n\n") => "",
                0 if self.head.ends_with('\n') => "\n",
                0 => "\n\n",
                _ => "\n",
            };
            entry.decor_mut().set_prefix(format!("{gap}{own}"));
            // In the order of this list, not in that of the file from which they came.
            entry.set_position(None);
            tables.push(entry);
        }
        if !tables.is_empty() {
            document.insert(KNOWN, Item::ArrayOfTables(tables));
        }
        format!("{}{document}{}", self.head, self.tail)
    }
}

/// Whether this is the entry of the same check and requirement.
fn is_of(table: &Table, entry: &KnownFailure) -> bool {
    text(table, "check") == Some(&entry.check) && text(table, "requirement") == Some(&entry.requirement)
}

/// One as a text, several as a list, each on a line of its own.
fn frames(frame: &Frame) -> Item {
    match frame {
        Frame::One(one) => value(one),
        Frame::Many(many) => {
            let mut list: Array = many.iter().map(String::as_str).collect();
            list.iter_mut().for_each(|one| one.decor_mut().set_prefix("\n    "));
            list.set_trailing("\n");
            list.set_trailing_comma(true);
            value(list)
        }
    }
}

fn above(table: &Table) -> String {
    table.decor().prefix().and_then(|prefix| prefix.as_str()).unwrap_or_default().to_owned()
}

fn text<'a>(table: &'a Table, key: &str) -> Option<&'a str> {
    table.get(key).and_then(Item::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(check: &str, requirement: &str) -> KnownFailure {
        KnownFailure {
            check: check.into(),
            requirement: requirement.into(),
            reason: "why".into(),
            sometimes: None,
            expires: None,
            clause: None,
            frame: None,
            any_frame: false,
        }
    }

    fn place(check: &str) -> usize {
        check.bytes().map(usize::from).sum()
    }

    const FILE: &str = "\
# What is known.

# Of b.
[[known]]
check = \"b\"
requirement = \"B-1\"
reason = '''of old''' # to be mended

# Of d.
[[known]]
check = \"d\"
requirement = \"D-1\"
reason = \"of old\"

# The end.
";

    #[test]
    fn what_is_not_touched_stays_as_it_is() {
        assert_eq!(Document::parse(FILE).expect("a baseline").text(), FILE);
        assert_eq!(Document::parse("").expect("a baseline").text(), "");
        assert_eq!(Document::parse("# Nothing yet.\n").expect("a baseline").text(), "# Nothing yet.\n");
    }

    #[test]
    fn entries_come_in_their_place() {
        let mut document = Document::parse(FILE).expect("a baseline");
        for check in ["e", "a", "c"] {
            document.add(&entry(check, "X-1"), place);
        }
        insta::assert_snapshot!(document.text(), @r#"
        # What is known.

        [[known]]
        check = "a"
        requirement = "X-1"
        reason = "why"

        # Of b.
        [[known]]
        check = "b"
        requirement = "B-1"
        reason = '''of old''' # to be mended

        [[known]]
        check = "c"
        requirement = "X-1"
        reason = "why"

        # Of d.
        [[known]]
        check = "d"
        requirement = "D-1"
        reason = "of old"

        [[known]]
        check = "e"
        requirement = "X-1"
        reason = "why"

        # The end.
        "#);
    }

    #[test]
    fn entries_go_with_their_comments_and_nothing_else() {
        let mut document = Document::parse(FILE).expect("a baseline");
        assert!(!document.remove(&entry("b", "B-2")));
        assert!(document.remove(&entry("b", "B-1")));
        assert_eq!(
            document.text(),
            "# What is known.\n\n# Of d.\n[[known]]\ncheck = \"d\"\nrequirement = \"D-1\"\nreason = \"of old\"\n\n# The end.\n"
        );
        assert!(document.remove(&entry("d", "D-1")));
        assert_eq!(document.text(), "# What is known.\n\n\n# The end.\n");
    }

    #[test]
    fn what_cannot_be_edited_is_refused() {
        for text in ["known = []\n", "other = 1\n", "[[known]\n"] {
            assert!(Document::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_entry_into_nothing_can_be_read_again() {
        for head in ["", "# What is known.", "# What is known.\n"] {
            let mut document = Document::parse(head).expect("a baseline");
            const HOSTILE: &str = "a \"b\" ''' \u{7} \\ \u{202e}";
            let hostile = KnownFailure { frame: Some(Frame::One(HOSTILE.into())), ..entry("a", "A-1") };
            document.add(&hostile, place);
            let read: toml::Table = toml::from_str(&document.text()).unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(read["known"][0]["frame"].as_str(), Some(HOSTILE));
        }
    }
}
