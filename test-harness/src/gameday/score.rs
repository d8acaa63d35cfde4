//! How an answer is scored.

use super::phases::Question;

impl Question {
    /// The points of an answer. With the hint it is half of them.
    pub(super) fn score(&self, answer: &str, hinted: bool) -> f64 {
        let share = match &self.right {
            Some(right) => f64::from(self.chosen(answer) == Some(right.as_str())),
            None => self.found(answer),
        };
        let worth = if hinted {
            self.points / 2.0
        } else {
            self.points
        };
        share * worth
    }

    /// The right answer, as the team is told.
    pub(super) fn expected(&self) -> String {
        match &self.right {
            Some(right) => format!("{right}. {}", self.why),
            None => self.why.clone(),
        }
    }

    /// The choice that an answer is: its words, or its number from 1.
    pub(super) fn chosen(&self, answer: &str) -> Option<&str> {
        let answer = answer.trim();
        let number = answer.parse::<usize>().ok();
        let numbered = number.and_then(|number| self.choices.get(number.checked_sub(1)?));
        let named = || {
            let mut all = self.choices.iter();
            all.find(|choice| choice.eq_ignore_ascii_case(answer))
        };
        numbered.or_else(named).map(String::as_str)
    }

    /// Of how many groups of words one is in the answer, as a share.
    fn found(&self, answer: &str) -> f64 {
        let answer = answer.to_lowercase();
        let holds = |group: &&Vec<String>| {
            let mut words = group.iter();
            words.any(|word| answer.contains(&word.to_lowercase()))
        };
        let found = self.keywords.iter().filter(holds).count();
        found as f64 / self.keywords.len().max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(right: Option<&str>, keywords: &[&[&str]]) -> Question {
        let words = |group: &&[&str]| group.iter().map(|word| (*word).to_owned()).collect();
        Question {
            id: "q".to_owned(),
            ask: "What?".to_owned(),
            choices: ["open", "closed"].map(str::to_owned).to_vec(),
            right: right.map(str::to_owned),
            keywords: keywords.iter().map(words).collect(),
            points: 2.0,
            hint: None,
            why: "So it is.".to_owned(),
        }
    }

    #[test]
    fn an_answer_has_points_by_choice_or_by_words_and_half_of_them_with_the_hint() {
        let choice = question(Some("closed"), &[]);
        for (answer, points) in [
            ("closed", 2.0),
            (" Closed ", 2.0),
            ("2", 2.0),
            ("1", 0.0),
            ("0", 0.0),
            ("", 0.0),
        ] {
            assert_eq!(choice.score(answer, false), points, "{answer}");
        }
        assert_eq!(choice.score("closed", true), 1.0);
        let words = question(None, &[&["roll back", "take back"], &["version"]]);
        for (answer, points) in [
            ("Roll back the version", 2.0),
            ("take back", 1.0),
            ("restart", 0.0),
        ] {
            assert_eq!(words.score(answer, false), points, "{answer}");
        }
    }
}
