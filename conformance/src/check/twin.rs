//! Negatives and their twins: the valid message is accepted in one fresh setting; the same with one thing broken is sent in
//! an equal one, and the valid one still works there afterwards.

use super::{Alternative, Cx, Outcome, Stop};
use std::future::Future;
use wireproof_spec::{
    http::{Request, Response},
    requirement::RequirementId,
};

/// What is broken in the request of a negative check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breaks {
    /// Its form: no setting in the world would accept it, and our own decoder refuses it.
    Form,
    /// Its fit to this setting: elsewhere it would be accepted.
    Fit,
}

impl Cx {
    /// Claims that breaking one thing in a valid request has it refused, for that reason and no other.
    ///
    /// `fresh` makes a setting, `valid` a request for it that `accepted` speaks of (kept by the requirement `stands_on`),
    /// and `broken` the same request with one thing broken.
    ///
    /// # Errors
    /// As [`Cx::expect`] and [`Cx::need`].
    #[expect(
        clippy::too_many_arguments,
        reason = "each is one word of the sentence that a negative check says"
    )]
    pub async fn refused<'a, S, F>(
        &'a self,
        requirement: RequirementId,
        breaks: Breaks,
        fresh: impl Fn(&'a Cx) -> F,
        valid: impl Fn(&S) -> Request,
        broken: impl Fn(&S, &mut Request),
        (stands_on, accepted): (RequirementId, &[Alternative<Response>]),
        refused: &[Alternative<Response>],
    ) -> Outcome
    where
        F: Future<Output = Outcome<S>>,
    {
        let twin = fresh(self).await?;
        self.need(stands_on, &self.send(valid(&twin)).await?, accepted)?;

        let setting = fresh(self).await?;
        let good = valid(&setting);
        let mut bad = good.clone();
        broken(&setting, &mut bad);
        self.proper_break(breaks, &good, &bad)?;
        let answered = match breaks {
            Breaks::Form => self.send_broken(bad).await?,
            Breaks::Fit => self.send(bad).await?,
        };
        self.expect(requirement, &answered, refused)?;
        self.need(stands_on, &self.send(good).await?, accepted)?;
        Ok(())
    }

    /// A break that breaks nothing, or that our own decoder does not see, is a mistake of ours.
    fn proper_break(&self, breaks: Breaks, good: &Request, bad: &Request) -> Result<(), Stop> {
        if good == bad {
            return Err(self.link.harness("the broken request equals the valid one"));
        }
        match (breaks, (self.protocol.accepts_request)(bad)) {
            (Breaks::Form, Ok(())) => {
                Err(self.link.harness("our own decoder accepts the request that was broken in form"))
            }
            (Breaks::Fit, Err(why)) => {
                Err(self.link.harness(&format!("the request is broken in form too: {why}")))
            }
            _ => Ok(()),
        }
    }
}
