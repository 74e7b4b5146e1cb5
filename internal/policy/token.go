package policy

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// Tokens are how an application is told whose request it is in a way that it can verify by itself.
type Tokens struct {
	Header   string // canonical name of the header that carries the token
	Signer   Signer
	KeysPath string // where the public keys are served
	Keys     []byte // what is served there, as a JSON Web Key Set (RFC 7517 section 5)
}

// A Signer signs what it says of a session to an audience. It is safe for concurrent use.
type Signer interface {
	Sign(s *upstream.Session, audience string) (Token, error)
}

// A Token is a signed statement about a session. It is immutable.
type Token struct {
	Value   []byte
	RenewAt time.Time // until when it is handed out, which is well before its end where the session's end allows that; without monotonic time
}

// WithTokens returns a policy like p that tells in signed tokens whose request it is, too.
func (p *Policy) WithTokens(t Tokens) *Policy {
	signing := *p
	signing.tokens = &t
	signing.tokenHeader = []byte(t.Header)
	signing.empty = &View{policy: &signing, Fields: p.empty.Fields}
	return &signing
}

// TokenHeader returns the name of the header that carries signed tokens, and nil if there are none. The caller must not change it.
func (p *Policy) TokenHeader() []byte { return p.tokenHeader }

// Keys returns the path under which the keys of signed tokens are served, and the keys. Without tokens the path is empty. The caller must
// not change the keys.
func (p *Policy) Keys() (path string, keys []byte) {
	if p.tokens == nil {
		return "", nil
	}
	return p.tokens.KeysPath, p.tokens.Keys
}

// Token returns the token about s for the audience of a route, and nil if there are no tokens or s is nil. It is signed when it is first
// wanted, and again when it is to be renewed. When several want it at that moment, each may sign one.
func (v *View) Token(s *upstream.Session, r *Route) ([]byte, error) {
	p := v.policy
	if p.tokens == nil || s == nil {
		return nil, nil
	}
	slot := &v.tokens[r.audience]
	if t := slot.Load(); t != nil && time.Now().Before(t.RenewAt) {
		return t.Value, nil
	}
	t, err := p.tokens.Signer.Sign(s, p.audiences[r.audience])
	if err != nil {
		return nil, fmt.Errorf("sign identity token: %w", err)
	}
	if len(t.Value) > MaxValue {
		return nil, fmt.Errorf("sign identity token: %d bytes are over the limit of %d: choose fewer or smaller claims", len(t.Value), MaxValue)
	}
	slot.Store(&t)
	return t.Value, nil
}

// slots returns room for a token for every audience.
func (p *Policy) slots() []atomic.Pointer[Token] {
	if p.tokens == nil {
		return nil
	}
	return make([]atomic.Pointer[Token], len(p.audiences))
}
