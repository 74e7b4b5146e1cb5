package doctor

import (
	"bytes"
	"fmt"
	"strings"
)

// A spoof is one way to write identity headers of one's own.
type spoof struct {
	alias  bool // under another name, which many servers take for the same
	fields []field
	values []string // that must not be seen
}

// spoofs are the ways in which clients write identity headers, each with values that occur nowhere else.
func (e *examination) spoofs() []spoof {
	replace := func(by string) func(string) string {
		return func(name string) string { return strings.ReplaceAll(name, "-", by) }
	}
	last := func(name string) string { // X-User_Id
		if i := strings.LastIndexByte(name, '-'); i > 0 {
			return name[:i] + "_" + name[i+1:]
		}
		return name
	}
	same := func(name string) string { return name }
	count := 0
	write := func(alias bool, times int, rename func(string) string) (s spoof) {
		s.alias = alias
		for _, name := range e.Headers {
			for range times {
				count++
				value := fmt.Sprintf("gatehouse-doctor-%s-%d.", e.nonce, count)
				s.fields, s.values = append(s.fields, field{rename(name), value}), append(s.values, value)
			}
		}
		return s
	}
	return []spoof{
		write(false, 1, same), write(false, 1, strings.ToLower), write(false, 1, strings.ToUpper), write(false, 2, same),
		write(true, 1, replace("_")), write(true, 1, replace(".")), write(true, 1, last),
	}
}

// seen reports whether a page shows one of the values.
func seen(body []byte, values []string) bool {
	for _, v := range values {
		if v != "" && bytes.Contains(body, []byte(v)) {
			return true
		}
	}
	return false
}

// echo looks at the headers that reach the application.
func (e *examination) echo() {
	const what = "which headers reach the application"
	if e.Echo == nil {
		e.unchecked(what, "give --echo PATH, of a page of the application that shows the headers it got")
		return
	}
	value := "gatehouse-doctor-" + e.nonce
	probe := field{"X-Probe", value}
	e.openEcho = e.ask(e.get(e.Echo.RequestURI(), probe)).ok()
	r := e.echoed(probe)
	a := e.ask(r)
	if !a.ok() || !seen(a.body, []string{value}) {
		e.unchecked(what, "the echo page answers "+a.String()+", and does not show a header of the request")
		return
	}
	e.identity(a)
	e.spoofed(a)
	e.rewriteHeaders()
	e.forwarded()
}

// forwarded looks for the credential on the echo page.
func (e *examination) forwarded() {
	if !e.page.ok() {
		return
	}
	r := e.signedIn(e.get(e.Echo.RequestURI()))
	secret := e.Credential.Cookie + e.Credential.Token // there is one of them
	if a := e.ask(r); seen(a.body, []string{secret}) {
		e.found("credential_forwarded", Note, Evidence{r.sent(), a.String() + ", with the credential in it"})
	} else {
		e.passed("the credential does not reach the application")
	}
}

// echoed asks for the echo page, with the session if it needs one.
func (e *examination) echoed(fields ...field) request {
	r := e.get(e.Echo.RequestURI(), fields...)
	r.session = e.identified()
	return r
}

// identified reports whether the echo page has to show an identity. One that needs no session need not.
func (e *examination) identified() bool { return e.page.ok() && !e.openEcho }

// identity judges who the application thinks that it is.
func (e *examination) identity(a answer) {
	if !e.identified() {
		e.unchecked("whether the application is told whose session it is", "give --echo PATH of a page that needs a session, and a session")
		return
	}
	ev := Evidence{e.echoed().sent(), a.String()}
	switch {
	case e.Identity != "" && !seen(a.body, []string{e.Identity}):
		ev.Came += ", without the identity that was named"
		e.found("identity_missing", High, ev)
	case e.Identity != "":
		e.passed("the application is told whose session it is")
	case !e.named(a.body):
		ev.Came += ", without any of " + strings.Join(e.Headers, ", ")
		e.found("identity_missing", High, ev)
	default:
		e.unchecked("whether the identity that reaches the application is the right one",
			"give --identity VALUE, which one of the headers has to hold")
	}
}

// named reports whether a page names one of the identity headers, in the spelling of HTTP or of CGI.
func (e *examination) named(body []byte) bool {
	fold := func(b []byte) []byte { return bytes.ReplaceAll(bytes.ToLower(b), []byte("_"), []byte("-")) }
	for _, name := range e.Headers {
		if bytes.Contains(fold(body), fold([]byte(name))) {
			return true
		}
	}
	return false
}

// spoofed sends identity headers of its own to the echo page. Usual is the page without them.
func (e *examination) spoofed(usual answer) {
	var forged, aliased, dropped []Evidence
	for _, s := range e.spoofs() {
		r := e.echoed(s.fields...)
		a := e.ask(r)
		if !seen(a.body, s.values) {
			continue
		}
		ev := Evidence{r.sent(), a.String() + ", with that value in it"}
		if s.alias {
			aliased = append(aliased, ev)
		} else {
			forged = append(forged, ev)
		}
	}
	listed := "close, " + strings.Join(e.Headers, ", ")
	for _, name := range []string{"Connection", "Trailer"} {
		if !e.identified() {
			break
		}
		r := e.echoed(field{name, listed})
		a := e.ask(r)
		present := func(a answer) bool {
			return e.Identity != "" && seen(a.body, []string{e.Identity}) || e.Identity == "" && e.named(a.body)
		}
		if a.ok() && present(usual) && !present(a) {
			dropped = append(dropped, Evidence{r.sent(), a.String() + ", without the identity"})
		}
	}
	e.result("identity_spoofed", Critical, forged, "clients cannot write identity headers")
	e.result("alias_passes", High, aliased, "clients cannot write identity headers with _ or . in their names")
	if e.identified() {
		e.result("identity_dropped", High, dropped, "clients cannot remove identity headers")
	}
}

// rewriteHeaders looks for misleading headers on the echo page.
func (e *examination) rewriteHeaders() {
	var reached []Evidence
	for i, name := range misleading {
		value := fmt.Sprintf("/gatehouse-doctor-%s-%d.", e.nonce, i)
		r := e.echoed(field{name, value})
		if a := e.ask(r); a.ok() && seen(a.body, []string{value}) {
			reached = append(reached, Evidence{r.sent(), a.String() + ", with that value in it"})
		}
	}
	e.result("rewrite_passes", Medium, reached,
		fmt.Sprintf("none of %d headers that change path or method reaches the application", len(misleading)))
}
