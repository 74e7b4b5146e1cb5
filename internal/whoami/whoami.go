package whoami

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// A Dialect is how one session service says whose session it is.
type Dialect string

// The dialects.
const (
	Kratos     Dialect = "kratos"
	Wacht      Dialect = "wacht"
	Crossid    Dialect = "crossid"
	BetterAuth Dialect = "better_auth"
)

// A Profile says where a service's own statement tells what an [upstream.Session] has no field for: paths in GJSON syntax, empty for what
// it does not tell. What is at Name may be text, or an object with the parts first and last, or first_name and last_name.
type Profile struct{ Email, Name string }

// ProfileOf returns the profile of statements in a dialect.
func ProfileOf(d Dialect) Profile {
	switch d {
	case Wacht:
		return Profile{Email: "data.active_signin.user.primary_email_address.email", Name: "data.active_signin.user"}
	case Crossid:
		return Profile{Email: "identity.email", Name: "identity.displayName"}
	case BetterAuth:
		return Profile{Email: "user.email", Name: "user.name"}
	default:
		return Profile{Email: "identity.traits.email", Name: "identity.traits.name"}
	}
}

// read returns the e-mail address and the name in a statement, each empty if it is not told.
func (p Profile) read(body []byte) (email, name string) {
	if p.Email != "" {
		email = text(gjson.GetBytes(body, p.Email))
	}
	if p.Name == "" {
		return email, ""
	}
	v := gjson.GetBytes(body, p.Name)
	first, last := v.Get("first"), v.Get("last")
	if !first.Exists() && !last.Exists() {
		first, last = v.Get("first_name"), v.Get("last_name")
	}
	if v.IsObject() {
		return email, strings.TrimSpace(text(first) + " " + text(last))
	}
	return email, text(v)
}

func text(v gjson.Result) string {
	if v.Type != gjson.String {
		return ""
	}
	return v.Str
}

// Tell returns what the dialect says of a session, as JSON. p is about s.Body.
func (d Dialect) Tell(s *upstream.Session, p Profile) []byte {
	email, name := p.read(s.Body)
	var v any
	switch d {
	case Wacht:
		v = wachtSession(s, email, name)
	case Crossid:
		v = crossidSession(s, email, name)
	case BetterAuth:
		v = betterAuthSession(s, email, name)
	default:
		v = kratosSession(s, email, name)
	}
	return encode(v)
}

// Refusal returns what the dialect says in place of a session: the status and a body of JSON. 401 is that there is none, for which some
// dialects have another status. Any other status is kept.
func (d Dialect) Refusal(status int) (int, []byte) {
	words := http.StatusText(status)
	switch {
	case d == BetterAuth && status == http.StatusUnauthorized:
		return http.StatusOK, []byte("null")
	case d == BetterAuth:
		code := strings.ToUpper(strings.ReplaceAll(words, " ", "_"))
		return status, encode(object{"code": code, "message": words})
	case d == Wacht && status == http.StatusUnauthorized:
		return http.StatusOK, encode(envelope(wachtNobody{ID: "0"}))
	case d == Wacht:
		return status, encode(wachtAnswer{Status: status, Message: words, Errors: []object{{"code": strconv.Itoa(status), "message": words}}})
	case d == Crossid:
		message := words
		if status == http.StatusUnauthorized {
			message = "client is not authenticated."
		}
		return status, encode(crossidError{strconv.Itoa(status), message, words})
	default:
		return status, encode(object{"error": kratosError{status, words, words}})
	}
}

type object map[string]any

// encode encodes what cannot fail: structs of text, numbers and times.
func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("encode whoami: " + err.Error())
	}
	return b
}

// iso returns a time as JavaScript writes it, in milliseconds, and nil for a time that is not known. What ends sooner than it says is
// harmless: parts of a millisecond are cut off.
func iso(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	s := t.UTC().Format("2006-01-02T15:04:05.000Z")
	return &s
}

// precise returns a time as Go writes it, and nil for a time that is not known.
func precise(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	s := t.UTC().Format(time.RFC3339Nano)
	return &s
}
