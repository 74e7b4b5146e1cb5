package upstream

import (
	"context"
	"errors"
	"strconv"
	"time"
)

// A Store says which session, if any, a credential stands for.
//
// It is safe for concurrent use, keeps nothing of c after it returns, and returns soon after ctx is done. It returns an error wrapping
// [ErrNoSession], or a [*Refusal], when the service answered and the answer was no. Any other error means that no answer could be had.
// That difference decides what may be cached. When the error is nil, Answer.Session is a session that the service calls active, with an ID and an
// IdentityID.
type Store interface {
	Session(ctx context.Context, c Credential) (Answer, error)
}

// ErrNoSession says that the service answered and knows no active session for the credential.
var ErrNoSession = errors.New("no session")

// ErrNotSent is wrapped by errors of a Store when no byte of the question has reached the service, so that asking again cannot do
// anything twice. A definite error that wraps it, for what no question can carry, says nothing about the service.
var ErrNotSent = errors.New("question was not sent")

// ErrBadQuestion is wrapped by errors of a Store whose question was taken for a bad one, as with status 400 or 431, by the service or by what
// stands in front of it. It is an outage, since nothing was said about a session. But it comes of what the client presented, and says nothing
// about the service.
var ErrBadQuestion = errors.New("question was taken for a bad one")

// ErrLimited is wrapped by errors of a Store that did not ask, because too many credentials that nobody knows came from where this one did
// ([Credential.From]). It says nothing of the credential, and nothing of the service.
var ErrLimited = errors.New("client presented too many unknown credentials")

// A Pause is wrapped by errors of a Store whose service wants to be asked nothing for a while, as with status 429. It is an outage.
type Pause struct{ For time.Duration }

// Error says for how long.
func (p *Pause) Error() string { return "it wants to be asked nothing for " + p.For.String() }

// A Refusal is a definite no with the service's own words: there is a session, but the service does not vouch for it as it is. Kratos
// says so with status 403 when a second factor is needed. It is passed on as it is and never remembered.
type Refusal struct {
	Status      int    // HTTP status, 400 to 499
	ContentType string // of Body
	ErrorID     string // the service's name for the reason, such as session_aal2_required; may be empty
	Body        []byte // the service's own words; immutable

	// Redirect is where the person can mend it in a browser: an absolute URL of http or https, in visible ASCII and without fragment. It is
	// empty if the service does not say.
	Redirect string
}

// Error names the status and the reason, never the body.
func (r *Refusal) Error() string {
	s := "session service refused with status " + strconv.Itoa(r.Status)
	if r.ErrorID != "" {
		s += " (" + r.ErrorID + ")"
	}
	return s
}

// Definite reports whether err is a definite no: one that the service itself gave. A nil error is not.
func Definite(err error) bool {
	if errors.Is(err, ErrNoSession) {
		return true
	}
	_, refused := errors.AsType[*Refusal](err)
	return refused
}

// A Reply is a service's response as it came, for the requests that are passed through and not decided.
type Reply struct {
	Status int
	Header []Field // only what means something to the caller; never hop-by-hop
	Body   []byte
}

// A Field is one header line, with its name in canonical form.
type Field struct{ Name, Value string }
