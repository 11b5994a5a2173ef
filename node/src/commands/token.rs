//! `huddle token`: works on the file of the home, which a running node reads anew for every question.

use super::Context;
use crate::{
    cli::Token,
    failure::{Code, Failure},
    identity::{Identity, KeyError},
    output,
    tokens::{self, TokenError},
};

pub(super) fn run(context: &Context, token: Token) -> Result<(), Failure> {
    match token {
        Token::Create { name, role, key } => {
            let bad_key = |error: KeyError| Failure::new(Code::Usage, &error);
            let identity = Identity::open(&context.home, &context.config()?.publisher.key).map_err(bad_key)?;
            let publisher = identity.publisher(&context.home, key.as_deref()).map_err(bad_key)?.public().into();
            let key = key.as_deref().unwrap_or(identity.default_key());
            let (text, token) = tokens::create(&context.home, &name, role.into(), key).map_err(failure)?;
            output::note("this token is shown once: whoever has it acts in your name");
            output::print(&output::NewToken { text: &text, token: token.into(), publisher_id: publisher }, context.json)
        }
        Token::List => {
            let tokens = tokens::list(&context.home).map_err(failure)?;
            output::print(&output::Tokens(tokens.into_iter().map(Into::into).collect()), context.json)
        }
        Token::Revoke { name } => {
            let token = tokens::revoke(&context.home, &name).map_err(failure)?;
            output::print(&output::Revoked(token.into()), context.json)
        }
    }
}

fn failure(error: TokenError) -> Failure {
    let code = match &error {
        TokenError::Name { .. } | TokenError::Exists { .. } | TokenError::TooMany | TokenError::Exposed { .. } => {
            Code::Usage
        }
        TokenError::Unknown { .. } => Code::NotFound,
        _ => Code::Unexpected,
    };
    Failure::new(code, &error)
}
