package proxy

import (
	"context"
	"errors"
	"net/netip"

	"github.com/gatehouse-proxy/gatehouse/internal/policy"
	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// SessionTokens hand out the short-lived tokens that the session service makes for a session, on behalf of a client, whose address is invalid
// if it is not known. Its errors are those of [upstream.Store].
type SessionTokens interface {
	Token(ctx context.Context, c upstream.Credential, client netip.Addr, query []byte) (upstream.Reply, error)
}

// sessionToken answers with a token of the session service.
func (r *request) sessionToken() {
	switch {
	case r.service.SessionTokenPath != string(r.path): // it is another's
		r.refuse(policy.Decision{Verdict: policy.Denied, Reason: policy.NoService})
		return
	case r.credential.Malformed:
		r.refuse(policy.Decision{Verdict: policy.Unauthenticated, Reason: policy.MalformedCredential})
		return
	case r.credential.Kind == upstream.NoCredential:
		r.refuse(policy.Decision{Verdict: policy.Unauthenticated, Reason: policy.NoCredential})
		return
	}
	client, _ := r.clientAddr()
	reply, err := r.service.SessionTokens.Token(r.base, r.credential.Credential, client, queryOf(r.raw))
	refusal, refused := errors.AsType[*upstream.Refusal](err)
	switch {
	case err == nil:
		r.whoamiReply(&reply)
	case errors.Is(err, upstream.ErrNoSession):
		r.refuse(policy.Decision{Verdict: policy.Unauthenticated, Reason: policy.NoSession})
	case refused:
		r.decision = policy.Decision{Verdict: policy.Refused, Reason: policy.RefusedByService, Err: err}
		r.relayRefusal(refusal)
	case errors.Is(err, upstream.ErrLimited):
		r.refuse(beyond(UnknownPerClientLimit))
	default:
		r.refuse(policy.Decision{Verdict: policy.Unavailable, Reason: policy.StoreUnavailable, Err: err})
	}
}
