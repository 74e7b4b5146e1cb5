package upstreamtest

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Template is the one template that [Service] knows for tokenize_as.
const Template = "jwt_example"

const (
	decodeBody = `{"error":{"code":500,"status":"Internal Server Error","message":"securecookie: base64 decode failed - caused by: illegal ` +
		`base64 data at input byte 4"}}` + "\n"
	templateBody = `{"error":{"code":400,"status":"Bad Request","reason":"Unable to find tokenizer template.","message":"The request was ` +
		`malformed or contained invalid parameters"}}` + "\n"
	readyBody    = `{"status":"ok"}` + "\n"
	notReadyBody = `{"errors":{"database":"dial tcp: connection refused"}}` + "\n"
)

// ServeHTTP answers as Kratos would, or as the fault wants it.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	observe := s.observer
	s.mu.Unlock()
	if observe != nil {
		observe(r)
	}
	switch r.URL.Path {
	case "/sessions/whoami":
		answer, delay := s.whoami(r)
		s.arrive()
		if !s.pause(r, delay) {
			panic(http.ErrAbortHandler) // the client went away
		}
		answer.write(w, r)
	case "/health/ready":
		s.readiness().write(w, r)
	default:
		http.NotFound(w, r)
	}
}

// pause waits for the delay and the hold, and reports whether the client waited, too.
func (s *Service) pause(r *http.Request, delay time.Duration) bool {
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.Context().Done():
	}
	return s.wait(r.Context()) == nil
}

// A response is settled before it is sent.
type response struct {
	fault  Fault // Down, Hang or Truncated, for which the rest is not enough
	status int
	header http.Header
	body   []byte
}

func (a response) write(w http.ResponseWriter, r *http.Request) {
	switch a.fault {
	case Hang:
		<-r.Context().Done()
		fallthrough
	case Down:
		panic(http.ErrAbortHandler)
	}
	for name, values := range a.header {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
	w.WriteHeader(a.status)
	body := a.body
	if a.fault == Truncated {
		body = body[:len(body)/2]
	}
	_, _ = w.Write(body) // a client that does not read it has its reasons
}

// reply returns a response with the headers that Kratos always sends.
func reply(status int, contentType, body string) response {
	header := http.Header{
		"Cache-Control": {"private, no-cache, no-store, must-revalidate"},
		"Content-Type":  {contentType},
		"Vary":          {"Cookie"},
	}
	if status >= 400 {
		header["Ory-Error-Id"] = []string{""}
	}
	return response{status: status, header: header, body: []byte(body)}
}

func (s *Service) readiness() response {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.probes++
	switch s.fault {
	case Down, Hang:
		return response{fault: s.fault}
	case DatabaseDown, NotReady:
		return reply(http.StatusServiceUnavailable, "application/json", notReadyBody)
	default:
		return reply(http.StatusOK, "application/json; charset=utf-8", readyBody)
	}
}

// whoami settles the answer to a question.
func (s *Service) whoami(r *http.Request) (response, time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fault.disturb(s.answer(r)), s.delay
}

// disturb returns what becomes of an answer under a fault.
func (f Fault) disturb(a response) response {
	switch f {
	case Down, Hang:
		a = response{fault: f}
	case Truncated:
		a = reply(http.StatusOK, "application/json", string(Session("truncated", "truncated").Body))
		a.fault = Truncated
	case Empty:
		a = reply(http.StatusOK, "application/json", "")
	case Garbage:
		a = reply(http.StatusOK, "text/html", "<!doctype html><title>Welcome</title><p>It works.\n")
	case Redirect:
		a = reply(http.StatusFound, "text/html", "")
		a.header.Set("Location", "/self-service/login/browser")
	case TooMany:
		a = reply(http.StatusTooManyRequests, "application/json", `{"error":{"code":429,"status":"Too Many Requests"}}`+"\n")
	case ServerError:
		a = reply(http.StatusInternalServerError, "application/json", decodeBody)
		a.header.Set("X-Kratos-Authenticated-Identity-Id", "1de17173-0000-4000-8000-000000000500")
		a.header.Set("Ory-Session-Cache-For", "300")
	case DatabaseDown:
		a = reply(http.StatusUnauthorized, "application/json", NoSessionBody)
	}
	return a
}

// answer judges the credentials of r as Kratos does: https://github.com/ory/kratos/blob/v26.2.0/session/manager_http.go#L211
func (s *Service) answer(r *http.Request) response {
	cookies := r.CookiesNamed(s.cookie())
	cookie := "" // the first that decodes, which is a cookie that was issued once
	if i := slices.IndexFunc(cookies, func(c *http.Cookie) bool { return s.cookies[c.Value] != "" }); i >= 0 {
		cookie = cookies[i].Value
	}
	l, known := s.logins[s.identify(r, cookie)]
	template := r.URL.Query().Get("tokenize_as")
	switch {
	case !known || !time.Now().Before(l.ExpiresAt):
		return reply(http.StatusUnauthorized, "application/json", NoSessionBody)
	case l.NeedsAAL2:
		a := reply(http.StatusForbidden, "application/json", AAL2Body)
		a.header.Set("Ory-Error-Id", "session_aal2_required")
		return a
	case cookie == "" && len(cookies) > 0: // Kratos finds the session by another credential, and then stumbles over the cookie
		return reply(http.StatusInternalServerError, "application/json", decodeBody)
	case template != "" && template != Template:
		return reply(http.StatusBadRequest, "application/json", templateBody)
	}
	a := reply(http.StatusOK, "application/json; charset=utf-8", string(l.Body))
	a.header.Set("X-Kratos-Authenticated-Identity-Id", l.IdentityID)
	if template != "" {
		s.issued++
		a.body = fmt.Appendf(bytes.TrimSuffix(bytes.TrimSpace(a.body), []byte("}")), ",\"tokenized\":\"e30.e30.%d\"}\n", s.issued)
	} else if l.CacheFor != "" {
		a.header.Set("Ory-Session-Cache-For", l.CacheFor)
	}
	if l.Renewed != "" && cookie != "" && cookie != l.Renewed {
		a.header.Set("Set-Cookie", s.setCookie(l))
	}
	return a
}

// identify returns the id of the session that the first readable credential of r stands for, which is cookie if there is no token.
func (s *Service) identify(r *http.Request, cookie string) string {
	if token := r.Header.Get("X-Session-Token"); token != "" {
		return s.tokens[token]
	}
	if cookie != "" {
		return s.cookies[cookie]
	}
	if scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " "); strings.EqualFold(scheme, "bearer") {
		return s.tokens[token]
	}
	return ""
}

// setCookie returns the line that renews the session cookie of l.
func (s *Service) setCookie(l Login) string {
	return (&http.Cookie{
		Name:     s.cookie(),
		Value:    l.Renewed,
		Path:     "/",
		Expires:  l.ExpiresAt,
		MaxAge:   int(time.Until(l.ExpiresAt).Seconds()),
		HttpOnly: true,
		SameSite: http.SameSiteLaxMode,
	}).String()
}
