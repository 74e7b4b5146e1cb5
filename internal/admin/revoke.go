package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// errWant is the answer to a body of the wrong shape. Like every answer here it repeats nothing of the body.
var errWant = errors.New("want exactly one of session_id, identity_id and credential, with credential perhaps kind " +
	"(session_token, session_cookie, cookie, query or bearer), and with all of them perhaps upstream, each once and not empty")

// revoke ends what the body names, and answers when that is in force.
func (s *Server) revoke(w http.ResponseWriter, r *http.Request) {
	fields, status, err := readFields(w, r)
	if err != nil {
		http.Error(w, err.Error(), status)
		return
	}
	what, err := s.end(fields)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.cfg.Revoked()
	attrs := []any{"by", what, "peer", r.RemoteAddr}
	if name := fields.Get("upstream"); name != "" {
		attrs = append(attrs, "upstream", name)
	}
	if what != "credential" { // ids are no secrets, and an audit needs them
		attrs = append(attrs, what, fields.Get(what))
	}
	s.cfg.Logger.Info("revoked by the admin listener", attrs...)
	writeJSON(w, map[string]string{"revoked": what})
}

// flush forgets every session.
func (s *Server) flush(w http.ResponseWriter, r *http.Request) {
	for _, u := range s.cfg.Upstreams {
		u.Sessions.Flush()
	}
	s.cfg.Logger.Info("flushed by the admin listener", "peer", r.RemoteAddr)
	writeJSON(w, map[string]bool{"flushed": true})
}

// end revokes what fields name and returns which of them it was.
func (s *Server) end(fields url.Values) (what string, err error) {
	kind := ""
	for name, values := range fields {
		if len(values) != 1 || values[0] == "" {
			return "", errWant
		}
		switch name {
		case "session_id", "identity_id", "credential":
			if what != "" {
				return "", errWant
			}
			what = name
		case "kind":
			kind = values[0]
		case "upstream": // as below
		default:
			return "", errWant
		}
	}
	of, err := s.upstreams(fields.Get("upstream"))
	value := fields.Get(what)
	switch {
	case err != nil:
		return "", err
	case what == "credential":
		return what, endCredential(of, kind, value)
	case what == "" || kind != "":
		return "", errWant
	case strings.TrimSpace(value) != value || strings.ContainsRune(value, utf8.RuneError):
		return "", fmt.Errorf("%s must be UTF-8, without blanks around it", what)
	}
	for _, u := range of {
		if what == "session_id" {
			u.Sessions.RevokeSession(value)
		} else {
			u.Sessions.RevokeIdentity(value)
		}
	}
	return what, nil
}

// endCredential revokes value as a credential for any of the services, of the kind named or, without a name, of every kind that it can be.
func endCredential(of []Upstream, name, value string) error {
	kind, ok := upstream.ParseKind(name)
	if !ok && name != "" {
		return errors.New("kind must be session_token, session_cookie, cookie, query or bearer")
	}
	looked, ended := false, false
	for _, u := range of {
		for _, c := range u.Credentials(kind, []byte(value)) {
			looked = true
			if presentable(c) {
				u.Sessions.RevokeCredential(c)
				ended = true
			}
		}
	}
	if !looked {
		return errors.New("credentials of this kind are not looked at: see credentials in the configuration")
	}
	if !ended {
		return fmt.Errorf("no request can present this credential: give at most %d bytes of visible ASCII and, "+
			"for a cookie, its value only, without quotes, commas, semicolons and backslashes", upstream.MaxCredential)
	}
	return nil
}

// presentable reports whether a request can present c. Cookies are of cookie-octets (RFC 6265 section 4.1.1), and all credentials of
// visible ASCII. Several cookies of one name are one credential too, but nobody has the bytes of that at hand.
func presentable(c upstream.Credential) bool {
	for _, b := range c.Value {
		if b <= 0x20 || b >= 0x7f || c.Kind == upstream.Cookie && strings.IndexByte(`",;\`, b) >= 0 {
			return false
		}
	}
	return len(c.Value) <= upstream.MaxCredential
}

// readFields reads the body of r, a form or a JSON object of strings. The status goes with the error.
func readFields(w http.ResponseWriter, r *http.Request) (fields url.Values, status int, err error) {
	parse := parseForm
	switch kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind {
	case "application/x-www-form-urlencoded":
	case "application/json":
		parse = parseJSON
	default:
		return nil, http.StatusUnsupportedMediaType, errors.New("want a body of application/json or application/x-www-form-urlencoded")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return nil, http.StatusRequestEntityTooLarge, fmt.Errorf("body is larger than %d bytes", maxBody)
	}
	if err != nil {
		return nil, http.StatusBadRequest, errors.New("body ended early")
	}
	if fields, err = parse(string(body)); err != nil {
		return nil, http.StatusBadRequest, err
	}
	return fields, 0, nil
}

func parseForm(body string) (url.Values, error) {
	fields, err := url.ParseQuery(body)
	if err != nil { // which quotes the body
		return nil, errors.New("body is not a form: percent-encode what is not a letter or a digit, as curl does with --data-urlencode")
	}
	return fields, nil
}

// parseJSON reads a JSON object of strings. Unlike json.Unmarshal it does not pass over names that are written twice or in other
// letters: a revocation of less than was meant must not look like one that worked.
func parseJSON(body string) (url.Values, error) {
	bad := errors.New("body is not a JSON object of strings")
	d := json.NewDecoder(strings.NewReader(body))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return nil, bad
	}
	fields := url.Values{}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, bad
		}
		value, err := d.Token()
		text, ok := value.(string)
		if err != nil || !ok {
			return nil, bad
		}
		fields.Add(name.(string), text)
	}
	if _, err := d.Token(); err != nil {
		return nil, bad
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, bad
	}
	return fields, nil
}

// writeJSON answers 200 with an object.
func writeJSON(w http.ResponseWriter, object any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(object)
}
