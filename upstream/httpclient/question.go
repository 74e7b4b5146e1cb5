package httpclient

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// A Question is one request to the service.
type Question struct {
	Method string   // empty is GET
	URL    *url.URL // as [Client.URL] returns it; only its path and query count
	Proof  Proof    // the zero Proof presents nothing
	Header http.Header
	Body   []byte
}

// Check returns what is wrong with a question that would be another request than it says, or one that nobody could read. Such a question is
// not asked. The error quotes no value.
func (q *Question) Check() error {
	switch {
	case q.Method != "" && !IsToken(q.Method) || q.Method == http.MethodConnect:
		return errors.New("method must be a word such as GET")
	case q.URL == nil || !isTarget(q.URL.RequestURI()):
		return errors.New("path and query of the url must be as a request line can hold them: other characters are written as %xx")
	case q.Proof.Header != "":
		if err := checkLine(q.Proof.Header, q.Proof.Value); err != nil {
			return err
		}
	}
	for name, values := range q.Header {
		for _, value := range values {
			if err := checkLine(name, value); err != nil {
				return err
			}
		}
	}
	return nil
}

// isTarget reports whether s can be the target in a request line.
func isTarget(s string) bool {
	return (strings.HasPrefix(s, "/") || s == "*") && IsPrintable(s) && !strings.Contains(s, " ")
}

// checkLine returns what is wrong with a header line of a question. What frames a message, and what is between two neighbours on the way, is for
// the client to write (RFC 9110 section 7.6.1).
func checkLine(name, value string) error {
	if !IsToken(name) {
		return fmt.Errorf("%q cannot be the name of a header", name)
	}
	switch http.CanonicalHeaderKey(name) {
	case "Host", "User-Agent", "Content-Length", "Transfer-Encoding", "Trailer", "Connection", "Keep-Alive", "Proxy-Connection", "Te", "Upgrade", "Expect":
		return fmt.Errorf("header %s is written by the client itself", name)
	}
	if !IsPrintable(value) {
		return fmt.Errorf("value of header %s must be printable ASCII", name)
	}
	return nil
}

// repeatable reports whether the question may reach the service twice (RFC 9110 section 9.2.2).
func (q *Question) repeatable() bool { return cmp.Or(q.Method, http.MethodGet) == http.MethodGet }

// append appends the request that the question is, which has lines after its target.
func (q *Question) append(b []byte, lines string) []byte {
	b = append(append(b, cmp.Or(q.Method, http.MethodGet)...), ' ')
	b = append(append(b, q.URL.RequestURI()...), lines...)
	if q.tellsLength() {
		b = append(b, "Content-Length: "...)
		b = append(strconv.AppendInt(b, int64(len(q.Body)), 10), "\r\n"...)
	}
	for name, values := range q.Header {
		if name = http.CanonicalHeaderKey(name); name == q.Proof.Header {
			continue // the proof stands there
		}
		for _, value := range values {
			b = appendLine(b, name, value)
		}
	}
	b = slices.Grow(b, len(q.Proof.Header)+len(q.Proof.Value)+len(q.Body)+8) // so that no copy of the proof is left behind
	if q.Proof.Header != "" {
		b = appendLine(b, q.Proof.Header, q.Proof.Value)
	}
	return append(append(b, "\r\n"...), q.Body...)
}

// tellsLength reports whether the question says how long its body is, which is also so where a body is expected and there is none (RFC 9110
// section 8.6).
func (q *Question) tellsLength() bool {
	return len(q.Body) > 0 || q.Method == http.MethodPost || q.Method == http.MethodPut || q.Method == http.MethodPatch
}

func appendLine(b []byte, name, value string) []byte {
	return append(append(append(append(b, name...), ": "...), value...), "\r\n"...)
}

// commonLines returns the lines of every question after its target, as net/http writes them.
func commonLines(base *url.URL, userAgent string) (string, error) {
	var text strings.Builder
	req := &http.Request{URL: base, Header: http.Header{"User-Agent": {userAgent}}}
	if err := req.Write(&text); err != nil {
		return "", fmt.Errorf("write question: %w", err)
	}
	_, lines, _ := strings.Cut(text.String(), " HTTP/1.1\r\n")
	return " HTTP/1.1\r\n" + strings.TrimSuffix(lines, "\r\n"), nil
}
