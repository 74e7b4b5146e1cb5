package sessionapi

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// An Ending is whom one call concerns, and what is to be forgotten when it is over.
type Ending struct {
	api  *API
	call *call

	credentials []upstream.Credential
	refused     []upstream.Credential // those of them that stand for a session which the service does not vouch for as it is
	sessions    []string
	identities  []string
	unread      bool // the body should name a session, and could not be read
}

// add finds out what a credential stands for, and reports whether that is a session.
func (e *Ending) add(ctx context.Context, cred upstream.Credential) (stands bool, err error) {
	if len(cred.Value) == 0 || len(cred.Value) > upstream.MaxCredential {
		return false, nil // nobody's
	}
	e.credentials = append(e.credentials, cred)
	answer, err := e.api.cfg.Cache.Lookup(ctx, cred, upstream.Unlimited)
	switch {
	case err == nil:
		e.know(answer.Session)
		return true, nil
	case errors.Is(err, upstream.ErrNoSession):
		return false, nil
	case upstream.Definite(err):
		e.refused = append(e.refused, cred)
		return true, nil
	default:
		return false, err
	}
}

// addTokens adds the session tokens in the body of a call, as every credential that they may be presented as. They are one session: it is
// asked about until it is found.
func (e *Ending) addTokens(ctx context.Context, c *Call) error {
	tokens := tokensIn(c.Body, e.call.field)
	e.unread = len(tokens) == 0
	for _, token := range tokens {
		found := false
		for _, cred := range e.api.standingFor(token, c.From) {
			if found {
				e.credentials = append(e.credentials, cred)
				continue
			}
			var err error
			if found, err = e.add(ctx, cred); err != nil {
				return err
			}
		}
	}
	return nil
}

func (e *Ending) know(s *upstream.Session) {
	if !slices.Contains(e.sessions, s.ID) {
		e.sessions = append(e.sessions, s.ID)
	}
	if !slices.Contains(e.identities, s.IdentityID) {
		e.identities = append(e.identities, s.IdentityID)
	}
}

// End forgets what the call may have ended. status is that of the answer, or 0 if there was none, and issued are the credentials that the
// answer hands out. When it returns, the client may have its answer.
func (e *Ending) End(ctx context.Context, status int, issued []upstream.Credential) {
	if e.call.effect == nothing || didNothing(status) {
		return
	}
	whole := e.call.effect == byIdentity || e.call.effect == byPeer
	if whole {
		e.learn(ctx, issued)
	}
	cache := e.api.cfg.Cache
	for _, c := range e.credentials {
		cache.RevokeCredential(c)
	}
	for _, id := range e.sessions {
		cache.RevokeSession(id)
	}
	if whole {
		for _, id := range e.identities {
			cache.RevokeIdentity(id)
		}
	}
	everything := e.isUncertain(status)
	if everything {
		cache.Flush()
	}
	if !everything && len(e.credentials)+len(e.sessions)+len(e.identities) == 0 {
		return
	}
	e.api.cfg.Revoked()
	attrs := []any{"path", e.call.path, "credentials", len(e.credentials), "everything", everything}
	if len(e.sessions) > 0 { // ids are no secrets, and an audit needs them
		attrs = append(attrs, "session_id", e.sessions)
	}
	if whole && len(e.identities) > 0 {
		attrs = append(attrs, "identity_id", e.identities)
	}
	e.api.cfg.Logger.Info("revoked by the session API", attrs...)
}

// learn finds out who has been signed in: by a credential that was handed out, or by one that was presented and is good only now. What
// cannot be learned now is asked about when it is presented.
func (e *Ending) learn(ctx context.Context, issued []upstream.Credential) {
	for _, cred := range slices.Concat(issued, e.refused) {
		if answer, err := e.api.cfg.Cache.Lookup(ctx, cred, upstream.Unlimited); err == nil {
			e.know(answer.Session)
		}
	}
}

// isUncertain reports whether a call has changed sessions of which nothing is known.
func (e *Ending) isUncertain(status int) bool {
	certain := status >= http.StatusOK && status < http.StatusMultipleChoices
	switch e.call.effect {
	case byPeer:
		return len(e.identities) == 0 && (certain || len(e.refused) > 0)
	case byToken:
		return e.unread && certain
	default:
		return false
	}
}

// didNothing reports whether a status says that the service has refused a call and done nothing. Kratos says 422 after a flow that goes on
// elsewhere in the browser, and 499 for a client that left in the middle.
func didNothing(status int) bool {
	return status >= 400 && status < 500 && status != http.StatusUnprocessableEntity && status != 499
}
