package upstream

import (
	"math"
	"sync/atomic"
	"time"
)

// An AAL is an authenticator assurance level: how strongly the person behind a session has proven who they are. Levels are ordered,
// and the zero level meets no requirement.
type AAL uint8

// The levels, as in NIST SP 800-63B and Ory Kratos.
const (
	AAL0 AAL = iota
	AAL1     // one factor
	AAL2     // two factors
	AAL3     // a hardware-bound second factor
)

// ParseAAL reads "aal1" and the like. It reports false for anything else.
func ParseAAL(s string) (AAL, bool) {
	if len(s) != 4 || s[:3] != "aal" || s[3] < '0' || s[3] > '3' {
		return AAL0, false
	}
	return AAL(s[3] - '0'), true
}

// String returns "aal0" to "aal3".
func (a AAL) String() string { return "aal" + string('0'+rune(a&3)) }

// A Session is a fact that a service stated at one moment. It is immutable, and shared between requests and goroutines: nobody may
// change what it points to, and it is always passed as a pointer.
type Session struct {
	ID         string // opaque; not necessarily a UUID
	IdentityID string // whose session it is; opaque

	AAL             AAL
	AuthenticatedAt time.Time

	// ExpiresAt is when the session ends by itself. It is never served past this moment. Zero means that the service did not say.
	ExpiresAt time.Time

	// Body is the service's own statement, byte for byte. What rules and identity headers say of a session, they say of this. Whoever reads
	// a session that may have been remembered reads it by [Session.Statement].
	Body []byte

	// Told is what the whoami face serves in place of Body, for applications that expect the words of another service. Nil is Body itself.
	Told []byte

	memo   atomic.Value
	folded Folded                 // nil unless the session was remembered
	body   atomic.Pointer[[]byte] // what folded has unfolded
	told   atomic.Pointer[[]byte] // likewise
}

// A Folded is what is remembered of a session beside the facts, in less room than it takes up in use. It is safe for concurrent use.
type Folded interface {
	Body() (body []byte, kept bool) // as [Session.Body], in memory of its own
	Told() []byte                   // as [Session.Told], likewise
	Memo() []byte                   // what the memo said of itself, see [Session.SetMemo], likewise
}

// Unfold returns a session with the facts in s, of which the rest is folded. s must not be shared yet, and has neither Body nor Told.
func Unfold(s *Session, folded Folded) *Session {
	s.folded = folded
	return s
}

// Statement returns Body, or reports false if that was not kept when the session was remembered. The caller must not change it.
func (s *Session) Statement() (body []byte, kept bool) {
	if s.folded == nil {
		return s.Body, true
	}
	if unfolded := s.body.Load(); unfolded != nil {
		return *unfolded, true
	}
	unfolded, kept := s.folded.Body()
	if kept {
		s.body.Store(&unfolded)
	}
	return unfolded, kept
}

// Words returns what the whoami face serves: Told, or else Body. It reports false if that was not kept. The caller must not change it.
func (s *Session) Words() (words []byte, kept bool) {
	if s.Told != nil {
		return s.Told, true
	}
	if s.folded == nil {
		return s.Statement()
	}
	if unfolded := s.told.Load(); unfolded != nil {
		return *unfolded, true
	}
	told := s.folded.Told()
	if told == nil {
		return s.Statement()
	}
	s.told.Store(&told)
	return told, true
}

// Memo returns what [Session.SetMemo] stored last, or nil.
func (s *Session) Memo() any { return s.memo.Load() }

// SetMemo keeps v beside the session for as long as the session itself is kept, so that what is derived from a session is derived
// once and not once a request. There is one memo a session, its only user is the policy in force, and all values must have the same
// dynamic type. It is safe for concurrent use; when two callers set different values, either may be kept.
//
// A cache that folds what it remembers keeps of a memo that is a [Foldable] what that says of itself, and of others nothing.
func (s *Session) SetMemo(v any) { s.memo.Store(v) }

// A Foldable is a memo that can be told in few bytes.
type Foldable interface {
	AppendFolded(dst []byte) []byte
}

// FoldedMemo returns what the memo said of itself when the session was remembered, or nothing. It is the caller's.
func (s *Session) FoldedMemo() []byte {
	if s.folded == nil {
		return nil
	}
	return s.folded.Memo()
}

// Expired reports whether the session has ended at t.
func (s *Session) Expired(t time.Time) bool { return !s.ExpiresAt.IsZero() && !t.Before(s.ExpiresAt) }

// A Source says where an answer came from.
type Source uint8

// The sources. The zero Source is the service itself, which is what every Store that is not a cache reports.
const (
	Asked     Source = iota // the service was asked for this very caller
	Coalesced               // the service was asked, once, for this caller and others
	Hit                     // remembered, and fresh
	WindowHit               // remembered, fresh, and too new to be among the sessions that stay
	Stale                   // remembered and no longer fresh; the service is being asked, or does not answer
)

// String returns the name of the source as logs and metrics spell it.
func (s Source) String() string {
	switch s {
	case Asked:
		return "miss"
	case Coalesced:
		return "coalesced"
	case Hit:
		return "hit"
	case WindowHit:
		return "window_hit"
	case Stale:
		return "stale"
	default:
		return "unknown"
	}
}

// Unlimited as [Answer.BelieveFor] means that the service set no bound; as a wanted age it means that any age will do.
const Unlimited time.Duration = math.MaxInt64

// An Answer is a session, and what goes with this one answer only.
type Answer struct {
	Session *Session

	// BelieveFor is how long the service allows the answer to be believed. It is an upper bound: a cache may believe it for less. Zero
	// means that the answer holds for the moment only; [Unlimited] means that the service did not say.
	BelieveFor time.Duration

	// Renewed holds the header lines that renew the credential: Set-Cookie, or one of the service's own. They belong to the callers of this
	// very question, who all presented the same credential, and are never stored.
	Renewed []Field

	// Source and Age say where the answer came from and how old it is.
	Source Source
	Age    time.Duration
}
