package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
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
	keys    [][sha256.Size]byte
	replays *replays
}

// replays are what has been received.
type replays struct {
	mu    sync.Mutex
	seen  map[note]time.Time // signed messages, and when each is too old anyway
	sweep time.Time          // when the old ones are forgotten next
}

func newReplays() *replays { return &replays{seen: map[note]time.Time{}} }

// A note is of a message that was received: the id that its sender gave it, and the secret that the sender has. Ids of two senders may be the
// same.
type note struct {
	secret int // by its place in Receiver.secrets
	id     string
}

// New returns a Receiver that believes signatures made with any of secrets, each at least 24 bytes, and any of the API keys. A secret that
// begins with whsec_ is in base64 after that. There may be several of both so that they can be changed without a gap.
func New(cache Cache, secrets, keys []string) (*Receiver, error) {
	r := &Receiver{cache: cache, replays: newReplays()}
	for _, s := range secrets {
		secret, err := parseSecret(s)
		if err != nil {
			return nil, err
		}
		r.secrets = append(r.secrets, secret)
	}
	for _, k := range keys {
		if len(k) < minSecret {
			return nil, errShort
		}
		r.keys = append(r.keys, sha256.Sum256([]byte(k)))
	}
	return r, nil
}

// For returns a Receiver that believes the same and tells another cache. It remembers what it has received for itself: a signature does not
// cover the path, so that a message which is led astray must not spend the one that arrives.
func (r *Receiver) For(cache Cache) *Receiver {
	return &Receiver{cache: cache, secrets: r.secrets, keys: r.keys, replays: newReplays()}
}

const (
	minSecret = 24  // bytes, as Standard Webhooks wants it
	maxID     = 256 // bytes of the id of a message
)

var errShort = fmt.Errorf("want a secret of at least %d bytes, such as openssl rand -base64 32 makes", minSecret)

// parseSecret reads a signing secret. The error does not tell it.
func parseSecret(s string) ([]byte, error) {
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
	return len(r.secrets) > 0 && isID(header(IDHeader)) && header(TimestampHeader) != ""
}

func isID(id string) bool { return id != "" && len(id) <= maxID }

// Receive takes one message in, and returns when what it says is in force. header returns the value of a header line that is there exactly
// once, and else nothing. The error says why the message was refused; nothing has been done then.
func (r *Receiver) Receive(header func(name string) string, body []byte) error {
	now := time.Now()
	signers, at, err := r.authenticate(header, body, now)
	if err != nil {
		return err
	}
	m, err := read(body)
	if err != nil {
		return err
	}
	if !r.replays.first(signers, header(IDHeader), at, now) {
		return ErrReplayed
	}
	m.tell(r.cache)
	return nil
}

// authenticate returns the secrets that the message was signed with, by their places, and when it was: none if it came with a key.
func (r *Receiver) authenticate(header func(name string) string, body []byte, now time.Time) (signers []int, at time.Time, err error) {
	id, stamp, signatures := header(IDHeader), header(TimestampHeader), header(SignatureHeader)
	if signatures == "" {
		if r.knows(header(KeyHeader)) {
			return nil, at, nil
		}
		return nil, at, ErrUnsigned
	}
	if !isID(id) {
		return nil, at, ErrUnsigned
	}
	if signers = r.signers(id, stamp, body, signatures); len(signers) == 0 {
		return nil, at, ErrUnsigned
	}
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil {
		return nil, at, ErrOld
	}
	at = time.Unix(seconds, 0)
	if at.Before(now.Add(-Tolerance)) || at.After(now.Add(Tolerance)) {
		return nil, at, ErrOld
	}
	return signers, at, nil
}

// knows reports whether an Authorization line has one of the keys. How long it takes tells nothing of them, not even how long they are.
func (r *Receiver) knows(authorization string) bool {
	scheme, key, _ := strings.Cut(authorization, " ")
	presented, known := sha256.Sum256([]byte(key)), 0
	for _, k := range r.keys {
		known |= subtle.ConstantTimeCompare(k[:], presented[:])
	}
	return strings.EqualFold(scheme, "bearer") && known == 1
}

// signers returns the secrets, by their places, that one of the signatures was made with. Spaces separate signatures, of which there are
// several while a sender changes its secret. Each is compared as it is spelt, so that a long list of them costs little.
func (r *Receiver) signers(id, stamp string, body []byte, signatures string) (signers []int) {
	for i, secret := range r.secrets {
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(id + "." + stamp + "."))
		mac.Write(body)
		want := []byte("v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)))
		for signature := range strings.SplitSeq(signatures, " ") {
			if hmac.Equal([]byte(signature), want) {
				signers = append(signers, i)
				break
			}
		}
	}
	return signers
}

// first notes a signed message under each secret that it was signed with, so that it does not come again with one signature less. It
// reports false if one of the notes was there. Only those who can sign can make the notes grow.
func (r *replays) first(signers []int, id string, at, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !now.Before(r.sweep) {
		for n, end := range r.seen {
			if now.After(end) {
				delete(r.seen, n)
			}
		}
		r.sweep = now.Add(Tolerance)
	}
	if slices.ContainsFunc(signers, func(i int) bool { _, seen := r.seen[note{i, id}]; return seen }) {
		return false
	}
	for _, i := range signers {
		r.seen[note{i, id}] = at.Add(Tolerance)
	}
	return true
}
