//! Reads an expression: tokens, then one function for each rank of operators. Depth is bounded.

use super::Value;

/// A part of an expression.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Node {
    Literal(Value),
    Property(Vec<String>),
    List(Vec<Node>),
    Not(Box<Node>),
    Negative(Box<Node>),
    Binary(&'static str, Box<Node>, Box<Node>),
    Choice(Box<Node>, Box<Node>, Box<Node>),
    Method(String, Box<Node>, Option<Box<Node>>),
}

/// Nothing is nested deeper.
const DEPTH_MAX: usize = 100;
const METHODS: [&str; 4] = ["size", "startsWith", "endsWith", "contains"];
const RANKS: [&[&str]; 5] = [
    &["||"],
    &["&&"],
    &["==", "!=", "<=", ">=", "<", ">", "in"],
    &["+", "-"],
    &["*", "/", "%"],
];
const SIGNS: [&str; 22] = [
    "||", "&&", "==", "!=", "<=", ">=", "<", ">", "+", "-", "*", "/", "%", "!", "?", ":", "(", ")",
    "[", "]", ",", ".",
];

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Sign(&'static str),
    Name(String),
    Value(Value),
}

/// Reads an expression; `None` if it is none, or not of the part that is known.
pub(super) fn parse(text: &str) -> Option<Node> {
    let mut reader = Reader {
        tokens: tokens(text)?,
        at: 0,
        depth: 0,
    };
    let node = reader.choice()?;
    (reader.at == reader.tokens.len()).then_some(node)
}

fn tokens(mut text: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    loop {
        text = text.trim_start();
        let Some(first) = text.chars().next() else {
            return Some(tokens);
        };
        let length = if first == '"' || first == '\'' {
            let (value, length) = quoted(text, first)?;
            tokens.push(Token::Value(Value::Text(value)));
            length
        } else if first.is_ascii_digit() {
            let end = text.find(|c: char| !c.is_ascii_digit() && c != '.');
            let end = end.unwrap_or(text.len());
            let number = text.get(..end)?;
            tokens.push(Token::Value(match number.contains('.') {
                true => Value::Double(number.parse().ok()?),
                false => Value::Int(number.parse().ok()?),
            }));
            end
        } else if first.is_ascii_alphabetic() || first == '_' {
            let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            let end = end.unwrap_or(text.len());
            tokens.push(match text.get(..end)? {
                "true" => Token::Value(Value::Bool(true)),
                "false" => Token::Value(Value::Bool(false)),
                "in" => Token::Sign("in"),
                name => Token::Name(name.to_owned()),
            });
            end
        } else {
            let sign = SIGNS.into_iter().find(|sign| text.starts_with(sign))?;
            tokens.push(Token::Sign(sign));
            sign.len()
        };
        text = text.get(length..)?;
    }
}

/// A text in quotes, and its length with them.
fn quoted(text: &str, quote: char) -> Option<(Vec<u8>, usize)> {
    let mut value = String::new();
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            'n' if escaped => value.push('\n'),
            't' if escaped => value.push('\t'),
            c if escaped => value.push(c),
            '\\' => {}
            c if c == quote => return Some((value.into_bytes(), at + c.len_utf8())),
            c => value.push(c),
        }
        escaped = c == '\\' && !escaped;
    }
    None
}

struct Reader {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

impl Reader {
    fn takes(&mut self, sign: &str) -> bool {
        let is = matches!(self.tokens.get(self.at), Some(Token::Sign(next)) if *next == sign);
        self.at += usize::from(is);
        is
    }

    fn choice(&mut self) -> Option<Node> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return None;
        }
        let condition = self.rank(0)?;
        let node = if self.takes("?") {
            let yes = self.choice()?;
            if !self.takes(":") {
                return None;
            }
            Node::Choice(Box::new(condition), Box::new(yes), Box::new(self.choice()?))
        } else {
            condition
        };
        self.depth -= 1;
        Some(node)
    }

    fn rank(&mut self, rank: usize) -> Option<Node> {
        let Some(operators) = RANKS.get(rank) else {
            return self.unary();
        };
        let mut left = self.rank(rank + 1)?;
        while let Some(operator) = operators.iter().find(|operator| self.takes(operator)) {
            let right = self.rank(rank + 1)?;
            left = Node::Binary(operator, Box::new(left), Box::new(right));
        }
        Some(left)
    }

    fn unary(&mut self) -> Option<Node> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return None;
        }
        let node = if self.takes("!") {
            Node::Not(Box::new(self.unary()?))
        } else if self.takes("-") {
            Node::Negative(Box::new(self.unary()?))
        } else {
            self.member()?
        };
        self.depth -= 1;
        Some(node)
    }

    /// A value and what is taken of it.
    fn member(&mut self) -> Option<Node> {
        let mut node = self.primary()?;
        loop {
            if self.takes(".") {
                let Some(Token::Name(name)) = self.tokens.get(self.at).cloned() else {
                    return None;
                };
                self.at += 1;
                if self.takes("(") {
                    node = self.method(name, node)?;
                } else {
                    node = within(node, name)?;
                }
            } else if self.takes("[") {
                let Some(Token::Value(Value::Text(name))) = self.tokens.get(self.at).cloned()
                else {
                    return None;
                };
                self.at += 1;
                if !self.takes("]") {
                    return None;
                }
                node = within(node, String::from_utf8(name).ok()?)?;
            } else {
                return Some(node);
            }
        }
    }

    fn method(&mut self, name: String, this: Node) -> Option<Node> {
        if !METHODS.contains(&name.as_str()) {
            return None;
        }
        let argument = if self.takes(")") {
            None
        } else {
            let argument = self.choice()?;
            if !self.takes(")") {
                return None;
            }
            Some(Box::new(argument))
        };
        Some(Node::Method(name, Box::new(this), argument))
    }

    fn primary(&mut self) -> Option<Node> {
        if self.takes("(") {
            let node = self.choice()?;
            return self.takes(")").then_some(node);
        }
        if self.takes("[") {
            let mut nodes = Vec::new();
            while !self.takes("]") {
                if !nodes.is_empty() && !self.takes(",") {
                    return None;
                }
                nodes.push(self.choice()?);
            }
            return Some(Node::List(nodes));
        }
        let token = self.tokens.get(self.at).cloned()?;
        self.at += 1;
        match token {
            Token::Value(value) => Some(Node::Literal(value)),
            Token::Name(name) if name == "size" && self.takes("(") => {
                let this = self.choice()?;
                let this = self.takes(")").then_some(this)?;
                Some(Node::Method(name, Box::new(this), None))
            }
            Token::Name(name) => Some(Node::Property(vec![name])),
            Token::Sign(_) => None,
        }
    }
}

fn within(node: Node, name: String) -> Option<Node> {
    match node {
        Node::Property(mut path) => {
            path.push(name);
            Some(Node::Property(path))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_expression_is_refused_at_any_depth() {
        for text in [
            "1 +",
            "",
            "(",
            "a.",
            "a[1]",
            "a.map(x, x)",
            "'open",
            "1 2",
            "f(1)",
            "@",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
        for deep in ["(", "!", "-", "["] {
            assert_eq!(parse(&deep.repeat(100_000)), None, "{deep}");
        }
        for text in [
            "1 + 2 * 3 == 7 && !false",
            "request.headers['x-a'] in ['a', \"b\"]",
            "a ? 1 : 2",
        ] {
            assert!(parse(text).is_some(), "{text}");
        }
    }
}
