package embedded

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/gatehouse-proxy/gatehouse/internal/whoami"
)

// A session cookie is framed as Kratos frames its own (github.com/gorilla/securecookie), and as long:
//
//	base64url( Unix time of issue "|" base64url( session id, expiry, random bytes ) "|" HMAC-SHA256 )
//
// Kratos encrypts the middle part; here it is only signed, since it holds no secret. The random bytes make each issue differ.
const (
	cookiePayload = 207
	cookieLength  = 428
)

type cookie struct {
	sessionID string
	issued    time.Time // in whole seconds
	expires   time.Time // of the session, when the cookie was issued
}

// seal makes a new cookie value for x.
func (s *Service) seal(x *session, issued time.Time) string {
	if s.cfg.Dialect == whoami.Wacht {
		return s.sealToken(x, issued)
	}
	payload := make([]byte, cookiePayload)
	rand.Read(payload)
	copy(payload, x.ID)
	binary.BigEndian.PutUint64(payload[36:], uint64(x.ExpiresAt.UnixNano()))
	frame := fmt.Sprintf("%010d|", issued.Unix()) + base64.URLEncoding.EncodeToString(payload) + "|"
	return base64.URLEncoding.EncodeToString(append([]byte(frame), s.sign("cookie|"+s.cfg.Cookie+"|"+frame)...))
}

// unseal reads a cookie value that seal has made. As with Kratos, a cookie can be read for one lifespan after its issue, even if the
// session has been extended since; or until the expiry that it tells of, if that is later.
func (s *Service) unseal(value string, at time.Time) (cookie, bool) {
	if s.cfg.Dialect == whoami.Wacht {
		return s.unsealToken(value)
	}
	if len(value) != cookieLength {
		return cookie{}, false
	}
	raw, err := base64.URLEncoding.Strict().DecodeString(value)
	if err != nil || len(raw) < sha256.Size {
		return cookie{}, false
	}
	frame, sum := raw[:len(raw)-sha256.Size], raw[len(raw)-sha256.Size:]
	if !hmac.Equal(sum, s.sign("cookie|"+s.cfg.Cookie+"|"+string(frame))) {
		return cookie{}, false
	}
	issued, rest, _ := bytes.Cut(frame, []byte("|"))
	unix, err := strconv.ParseInt(string(issued), 10, 64)
	payload, err2 := base64.URLEncoding.DecodeString(string(bytes.TrimSuffix(rest, []byte("|"))))
	if err != nil || err2 != nil || len(payload) != cookiePayload {
		return cookie{}, false
	}
	c := cookie{
		sessionID: string(payload[:36]),
		issued:    time.Unix(unix, 0).UTC(),
		expires:   time.Unix(0, int64(binary.BigEndian.Uint64(payload[36:]))).UTC(),
	}
	return c, !at.After(c.issued.Add(s.cfg.Lifespan)) || at.Before(c.expires)
}

// cookieOf returns the first session cookie of r that can be read, over all of its Cookie headers.
func (s *Service) cookieOf(r *http.Request, at time.Time) (cookie, bool) {
	for _, c := range r.CookiesNamed(s.cfg.Cookie) {
		if opened, ok := s.unseal(c.Value, at); ok {
			return opened, true
		}
	}
	return cookie{}, false
}

// setCookie gives the client a new cookie for x. The lifetime is in whole seconds, rounded down, as in Kratos.
func (s *Service) setCookie(w http.ResponseWriter, x *session, at time.Time) {
	left := x.ExpiresAt.Sub(at).Truncate(time.Second)
	s.writeCookie(w, s.seal(x, at), int(left/time.Second), at.Add(left))
}

func (s *Service) clearCookie(w http.ResponseWriter) { s.writeCookie(w, "", -1, time.Unix(1, 0)) }

func (s *Service) writeCookie(w http.ResponseWriter, value string, maxAge int, expires time.Time) {
	http.SetCookie(w, &http.Cookie{
		Name: s.cfg.Cookie, Value: value, Path: "/", Expires: expires, MaxAge: maxAge,
		HttpOnly: true, Secure: true, SameSite: http.SameSiteLaxMode,
	})
}

// logoutToken is the capability to log x out by URL. It is made from the key and the id, so that nothing of it has to be stored.
func (s *Service) logoutToken(x *session) string {
	return "ory_lo_" + alphanumerics(s.sign("logout|"+x.ID))
}

func (s *Service) sign(message string) []byte {
	mac := hmac.New(sha256.New, s.key)
	mac.Write([]byte(message))
	return mac.Sum(nil)
}

func newSessionToken() string {
	b := make([]byte, 32)
	rand.Read(b)
	return "ory_st_" + alphanumerics(b)
}

// alphanumerics turns each byte into one of 62 characters. Some are a little likelier than others: of 8 bits, 5.9 are left.
func alphanumerics(b []byte) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	text := make([]byte, len(b))
	for i, c := range b {
		text[i] = alphabet[int(c)%len(alphabet)]
	}
	return string(text)
}

func hashToken(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// newID returns a random UUID.
func newID() string {
	var b [16]byte
	rand.Read(b[:])
	return uuid(b)
}

// uuid writes random bytes as a UUID of version 4 (RFC 9562, section 5.4).
func uuid(b [16]byte) string {
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
