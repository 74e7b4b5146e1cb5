package httpclient

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unsafe"

	"github.com/tidwall/gjson"

	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// A Reply is what came back: the status, and what may be looked at once the status is known. It is never a response to a client as it
// is: [Reply.Pass] picks what means something to one.
type Reply struct {
	Status  int
	Header  http.Header
	Body    []byte // which nobody changes
	BodyErr error  // why there is no body
}

// Get returns the value at a path of the body, in GJSON syntax. Of a repeated key, the first counts, as it does for identity headers and
// rules. The body must be valid JSON. The value shares its memory: whoever keeps a part, and not the body, clones it.
func (r *Reply) Get(path string) gjson.Result {
	return gjson.Get(unsafe.String(unsafe.SliceData(r.Body), len(r.Body)), path) // GetBytes would copy each value twice
}

// IsJSON reports whether there is a body, and it is JSON.
func (r *Reply) IsJSON() bool { return r.BodyErr == nil && gjson.ValidBytes(r.Body) }

// Time reads a time in RFC 3339, with trailing zeros trimmed or not. What is absent is the zero time. What is there and means the zero
// time is an error, since it would read as absent, and so as a session without end.
func (r *Reply) Time(path string) (time.Time, error) {
	v := r.Get(path)
	if v.Type == gjson.Null {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339Nano, v.Str)
	if err != nil || t.IsZero() {
		return time.Time{}, errors.New(path + " is not a time") // the error of package time quotes what it read
	}
	return t, nil
}

// Renewed returns the Set-Cookie lines that renew the cookie which carried p. An answer to another kind of credential renews nothing,
// even if the service thinks so.
func (r *Reply) Renewed(p Proof) (fields []upstream.Field) {
	if p.Cookie == "" {
		return nil
	}
	for _, line := range r.Header["Set-Cookie"] {
		if name, _, found := strings.Cut(line, "="); found && name == p.Cookie && IsPrintable(line) {
			fields = append(fields, upstream.Field{Name: "Set-Cookie", Value: line})
		}
	}
	return fields
}

// IsPage reports whether the body is a page for people, which no session API sends: something in front of the service asks us to sign in,
// and has said nothing about the session.
func (r *Reply) IsPage() bool {
	return strings.HasPrefix(strings.ToLower(r.Header.Get("Content-Type")), "text/html")
}

// ContentType returns the type of the body, or JSON where it says none that can be passed on.
func (r *Reply) ContentType() string {
	if t := r.Header.Get("Content-Type"); t != "" && IsPrintable(t) {
		return t
	}
	return "application/json"
}

// Pass returns r as a caller may see it: with the headers of these names, each at most once, and the lines in renewed.
func (r *Reply) Pass(renewed []upstream.Field, names ...string) upstream.Reply {
	out := upstream.Reply{Status: r.Status, Body: r.Body}
	for _, name := range names {
		if value := r.Header.Get(name); value != "" && IsPrintable(value) {
			out.Header = append(out.Header, upstream.Field{Name: name, Value: value})
		}
	}
	out.Header = append(out.Header, renewed...)
	return out
}

// Outage says what a status means that is no answer, and where to look. It tells nothing of the body. question is the path that was asked,
// and names the API that must be there. After too many questions it wraps a [*upstream.Pause], if the service says for how long, and after one
// that was taken for a bad one [upstream.ErrBadQuestion].
func (r *Reply) Outage(question string) error {
	hint := "this is no answer of a session service: check its url, and what stands in front of it"
	switch {
	case r.Status == http.StatusNotFound:
		hint = "there is no " + question + ": the url must lead to the service's public API, path prefix included"
	case r.Status == http.StatusForbidden, r.Status == http.StatusUnauthorized:
		hint = "this is not the service's own: look at what stands in front of it, such as a firewall"
	case r.blamesQuestion():
		hint = "this is no answer of a session service: let what stands in front of it pass on lines of 16 KiB"
	case r.Status == http.StatusTooManyRequests:
		hint = "it is asked too often: believe sessions for longer, or raise its limit"
	case r.Status >= 500:
		hint = "look at its log"
	case r.Status >= 300 && r.Status < 400:
		hint = "redirects are not followed: the url must lead to the public API itself"
	}
	if pause := r.Pause(); pause > 0 && r.Status == http.StatusTooManyRequests {
		return fmt.Errorf("ask session service: status %d: %s: %w", r.Status, hint, &upstream.Pause{For: pause})
	}
	if r.blamesQuestion() {
		return fmt.Errorf("ask session service: status %d: %s: %w", r.Status, hint, upstream.ErrBadQuestion)
	}
	return fmt.Errorf("ask session service: status %d: %s", r.Status, hint)
}

// blamesQuestion reports whether the status is one with which servers and firewalls turn away what they do not like the look of, such as a long
// line or a suspicious value. Those that depend on the address alone are not among them.
func (r *Reply) blamesQuestion() bool {
	switch r.Status {
	case http.StatusBadRequest, http.StatusForbidden, http.StatusNotAcceptable, http.StatusRequestEntityTooLarge, http.StatusRequestURITooLong,
		http.StatusUnsupportedMediaType, http.StatusExpectationFailed, http.StatusUnprocessableEntity,
		http.StatusRequestHeaderFieldsTooLarge, http.StatusUnavailableForLegalReasons:
		return true
	}
	return false
}
