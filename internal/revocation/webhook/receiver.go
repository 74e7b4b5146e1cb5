package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/tidwall/gjson"
)

// The headers of a message.
const (
	IDHeader        = "Webhook-Id"
	TimestampHeader = "Webhook-Timestamp"
	SignatureHeader = "Webhook-Signature"
	KeyHeader       = "Authorization" // Bearer and the API key
)

// Tolerance is how old a signed message may be, and how far ahead the sender's clock.
const Tolerance = 5 * time.Minute

// The ways in which a message is refused. Their texts tell nothing of what was sent.
var (
	ErrUnsigned = errors.New("message has neither a signature nor an API key that is known")
	ErrOld      = fmt.Errorf("message was signed more than %s ago, or ahead of time: look at both clocks", Tolerance)
	ErrReplayed = errors.New("message has been received before")
	ErrUnread   = errors.New("message names no session, no identity and not all")
)

// A Cache is told what has ended. What a method was told is in force when it returns.
type Cache interface {
	RevokeSession(id string)
	RevokeIdentity(id string)
	Flush()
}

// A Receiver takes messages in. It is safe for concurrent use.
type Receiver struct {
	cache   Cache
	secrets [][]byte // for signatures
	keys    []string
	replays *replays
}

// replays are what has been received.
type replays struct {
	mu    sync.Mutex
	seen  map[string]time.Time // ids of signed messages, and when each is too old anyway
	sweep time.Time            // when the old ones are forgotten next
}

// New returns a Receiver that believes signatures made with any of secrets, each at least 24 bytes, and any of the API keys. A secret that
// begins with whsec_ is in base64 after that. There may be several of both so that they can be changed without a gap.
func New(cache Cache, secrets, keys []string) (*Receiver, error) {
	r := &Receiver{cache: cache, replays: &replays{seen: map[string]time.Time{}}}
	for _, s := range secrets {
		secret, err := ParseSecret(s)
		if err != nil {
			return nil, err
		}
		r.secrets = append(r.secrets, secret)
	}
	for _, k := range keys {
		if len(k) < minSecret {
			return nil, errShort
		}
		r.keys = append(r.keys, k)
	}
	return r, nil
}

// For returns a Receiver that believes the same and tells another cache. What one of the two has received is a replay for the other.
func (r *Receiver) For(cache Cache) *Receiver {
	other := *r
	other.cache = cache
	return &other
}

const minSecret = 24 // bytes, as Standard Webhooks wants it

var errShort = fmt.Errorf("want a secret of at least %d bytes, such as openssl rand -base64 32 makes", minSecret)

// ParseSecret reads a signing secret. The error does not tell it.
func ParseSecret(s string) ([]byte, error) {
	secret := []byte(s)
	if encoded, ok := strings.CutPrefix(s, "whsec_"); ok {
		var err error
		if secret, err = base64.StdEncoding.DecodeString(encoded); err != nil {
			return nil, errors.New("want base64 after whsec_")
		}
	}
	if len(secret) < minSecret {
		return nil, errShort
	}
	return secret, nil
}

// Expects reports, by the head of a message alone, whether its body is worth reading. It costs little, and nothing is believed yet.
func (r *Receiver) Expects(header func(name string) string) bool {
	if header(SignatureHeader) == "" {
		return r.knows(header(KeyHeader))
	}
	return len(r.secrets) > 0 && header(IDHeader) != "" && header(TimestampHeader) != ""
}

// Receive takes one message in, and returns when what it says is in force. header returns the value of a header line that is there exactly
// once, and else nothing. The error says why the message was refused; nothing has been done then.
func (r *Receiver) Receive(header func(name string) string, body []byte) error {
	if err := r.authenticate(header, body, time.Now()); err != nil {
		return err
	}
	return r.read(body)
}

func (r *Receiver) authenticate(header func(name string) string, body []byte, now time.Time) error {
	id, stamp, signatures := header(IDHeader), header(TimestampHeader), header(SignatureHeader)
	if signatures == "" {
		if r.knows(header(KeyHeader)) {
			return nil
		}
		return ErrUnsigned
	}
	if id == "" || len(id) > 256 || !r.signed(id, stamp, body, signatures) {
		return ErrUnsigned
	}
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil {
		return ErrOld
	}
	at := time.Unix(seconds, 0)
	if at.Before(now.Add(-Tolerance)) || at.After(now.Add(Tolerance)) {
		return ErrOld
	}
	return r.replays.first(id, at, now)
}

// knows reports whether an Authorization line has one of the keys. How long it takes tells nothing of them but their lengths.
func (r *Receiver) knows(authorization string) bool {
	scheme, key, _ := strings.Cut(authorization, " ")
	known := 0
	for _, k := range r.keys {
		known |= subtle.ConstantTimeCompare([]byte(k), []byte(key))
	}
	return strings.EqualFold(scheme, "bearer") && known == 1
}

// signed reports whether one of the signatures, which spaces separate, was made with one of the secrets.
func (r *Receiver) signed(id, stamp string, body []byte, signatures string) bool {
	for _, secret := range r.secrets {
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(id + "." + stamp + "."))
		mac.Write(body)
		want := mac.Sum(nil)
		for signature := range strings.SplitSeq(signatures, " ") {
			encoded, ok := strings.CutPrefix(signature, "v1,")
			if !ok {
				continue
			}
			if got, err := base64.StdEncoding.DecodeString(encoded); err == nil && hmac.Equal(got, want) {
				return true
			}
		}
	}
	return false
}

// first notes a signed message, and fails if it was noted before. Only those who can sign can make the notes grow.
func (r *replays) first(id string, at, now time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !now.Before(r.sweep) {
		for id, end := range r.seen {
			if now.After(end) {
				delete(r.seen, id)
			}
		}
		r.sweep = now.Add(Tolerance)
	}
	if _, ok := r.seen[id]; ok {
		return ErrReplayed
	}
	r.seen[id] = at.Add(Tolerance)
	return nil
}

// read does what a message says: {"session_id": …}, {"identity_id": …} or {"all": true}, by itself or below data or, as an event of the type
// session.deleted, with the session's id as data.id.
func (r *Receiver) read(body []byte) error {
	if !gjson.ValidBytes(body) {
		return ErrUnread
	}
	message := gjson.ParseBytes(body)
	told := false
	for _, part := range []gjson.Result{message, message.Get("data")} {
		if id := part.Get("session_id"); id.Type == gjson.String && id.Str != "" {
			r.cache.RevokeSession(id.Str)
			told = true
		}
		if id := part.Get("identity_id"); id.Type == gjson.String && id.Str != "" {
			r.cache.RevokeIdentity(id.Str)
			told = true
		}
		if part.Get("all").Type == gjson.True {
			r.cache.Flush()
			told = true
		}
	}
	if id := message.Get("data.id"); message.Get("type").Str == "session.deleted" && id.Type == gjson.String && id.Str != "" {
		r.cache.RevokeSession(id.Str)
		told = true
	}
	if !told {
		return ErrUnread
	}
	return nil
}
