package doctor

import (
	"bytes"
	"cmp"
	"html"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// stranger is a host that does not exist. A front proxy may answer for hosts that it does not know.
const stranger = "http://gatehouse-doctor.invalid"

// A control is an answer that everybody may have, with what it answers to removed from it.
type control struct {
	status int
	body   string
}

// leak says whether an answer shows what needs a session.
type leak int

const (
	closed leak = iota // it does not
	likely             // it passed, and is not what everybody gets
	sure               // it is the page that needs a session
)

// entry asks for the page with the session, and judges the answers with and without it.
func (e *examination) entry() {
	r := e.signedIn(e.get(e.target()))
	if e.Credential.given() {
		e.page = e.ask(r)
	}
	e.reached = e.asksToSignIn() || e.page.ok()
	e.refusal()
	switch {
	case !e.Credential.given():
		e.unchecked("whether a session is let in, and who it is taken for", "give --cookie or --token, of a valid session")
	case e.page.ok():
		e.passed("with the session the page is served")
		e.renewed(r)
	case e.asksToSignIn() || e.page.status != e.plain.status: // else it is not the session that is refused
		e.found("session_refused", Medium, Evidence{r.sent(), e.page.String()})
	}
	if !e.page.ok() {
		e.page = answer{}
	}
	if !e.reached {
		e.unchecked("whether anything is as it should be", "the page was not reached: give --cookie or --token, of a session that opens it")
	}
}

// refusal judges the answer to a request without a session.
func (e *examination) refusal() {
	ev := []Evidence{{e.get(e.target()).sent(), e.plain.String()}}
	switch s := e.plain.status; {
	case s >= 500:
		e.found("failing", High, ev...)
	case (s == 403 || s == 421) && !e.reached:
		e.found("forbidden", Medium, ev...)
	case s == 403, e.asksToSignIn():
		e.passed("without a session the page is refused")
	default:
		e.found("unclear", Medium, ev...)
	}
	e.cacheable(ev)
	if reason := e.plain.header.Get("X-Gatehouse-Reason"); reason != "" {
		e.found("reasons_shown", Note, ev...)
	}
}

// asksToSignIn reports whether who has no session is told to sign in.
func (e *examination) asksToSignIn() bool {
	s := e.plain.status
	return s == 401 || s >= 301 && s <= 308 && s != 304
}

// cacheable judges what a refusal says to caches.
func (e *examination) cacheable(ev []Evidence) {
	control := strings.ToLower(strings.Join(e.plain.header.Values("Cache-Control"), ","))
	has := func(word string) bool { return strings.Contains(control, word) }
	zero := has("max-age=0") || e.plain.header.Get("Expires") == "0"
	switch {
	case has("no-store"), has("private"), has("no-cache"):
		e.passed("no cache keeps a refusal")
	case has("public"), has("max-age="), has("s-maxage="), e.plain.header.Get("Expires") != "" && !zero:
		e.found("cacheable", Medium, ev...)
	default:
		e.found("not_no_store", Note, ev...)
	}
}

// compareWith gets the pages that answers are compared with: those that everybody gets.
func (e *examination) compareWith() {
	unknown := "/gatehouse-doctor-" + e.nonce
	e.controls = append(e.controls, e.control(e.get(unknown)), e.control(e.get(stranger+unknown)))
	if e.Public == nil {
		e.unchecked("ways from a public path to the page", "give --public URL, of a page that needs no session")
	} else {
		e.comparePublic()
	}
}

func (e *examination) comparePublic() {
	page := e.ask(e.get(e.publicTarget()))
	if !page.ok() {
		e.unchecked("ways from a public path to the page", "the public page answers "+page.String()+" without a session")
	}
	e.controls = append(e.controls, e.asControl(page, e.publicTarget()))
	below := func(name string) control {
		return e.control(e.get(dir(e.Public) + "gatehouse-doctor-" + name + e.nonce))
	}
	one, two := below("a"), below("b")
	e.controls = append(e.controls, one, two)
	e.dynamic = one != two
}

// control asks for a page that everybody may have.
func (e *examination) control(r request) control { return e.asControl(e.ask(r), r.target) }

// asControl returns what is compared of an answer: it does not depend on what was asked for, even if the page shows that.
func (e *examination) asControl(a answer, target string) control {
	body := a.body
	names := []string{e.Target.Host, e.Target.Hostname(), strings.TrimPrefix(stranger, "http://"), target}
	for _, origin := range []string{stranger, e.Target.Scheme + "://" + e.Target.Host} {
		target = strings.TrimPrefix(target, origin)
	}
	plain, _ := url.PathUnescape(target)
	names = append(names, target, plain, strings.TrimPrefix(target, "/"), target[strings.LastIndexByte(target, '/')+1:])
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	for _, name := range names {
		if len(name) <= 3 { // which is in everything
			continue
		}
		for _, written := range []string{name, strings.ReplaceAll(name, `\`, `\\`), html.EscapeString(name)} { // as it is, in JSON and in HTML
			body = bytes.ReplaceAll(body, []byte(written), nil)
		}
	}
	return control{a.status, string(body)}
}

// judge compares the answer to a request without a session with the pages that everybody gets.
func (e *examination) judge(a answer, target string) leak {
	if !a.ok() {
		return closed
	}
	got, page := e.asControl(a, target), e.asControl(e.page, e.target())
	everybody := func(c control) bool { return slices.Contains(e.controls, c) }
	switch {
	case e.page.ok() && len(e.page.body) > 0 && !everybody(page) && (got == page || bytes.Equal(a.body, e.page.body)):
		return sure
	case everybody(got):
		return closed
	default:
		return likely
	}
}

// echoes reports whether an answer differs from the usual one only since the application shows what it was sent. The twins are requests
// like the one that was answered, with the nonce in what may be shown. An answer that shows the nonce, and is the same without it, is an
// echo. One that is the same and shows none of it may well be another page, which the application has for more than one path.
func (e *examination) echoes(a answer, twins ...request) bool {
	nonce := regexp.MustCompile("(?i)" + e.nonce) // CGI has the names of headers in capitals
	for _, r := range twins {
		b := e.ask(r)
		if nonce.Match(b.body) && b.status == a.status && bytes.Equal(nonce.ReplaceAll(b.body, nil), a.body) {
			return true
		}
	}
	return false
}

// found adds a finding.
func (e *examination) found(id string, s Severity, ev ...Evidence) {
	c := catalogue[id]
	e.report.Findings = append(e.report.Findings, Finding{
		ID: id, Severity: s, Title: c.title, Evidence: ev, Why: c.why, Mend: c.mend(e.report.Front),
	})
}

// result adds a finding if there is evidence of it, and says that all is well if not.
func (e *examination) result(id string, s Severity, ev []Evidence, well string) {
	if len(ev) > 0 {
		e.found(id, s, ev...)
	} else {
		e.passed(well)
	}
}

// passed says that something is as it should be, if that could be seen.
func (e *examination) passed(what string) {
	if e.err == nil && e.reached {
		e.report.Passed = append(e.report.Passed, what)
	}
}

func (e *examination) unchecked(what, why string) {
	e.report.NotChecked = append(e.report.NotChecked, Unchecked{what, why})
}

// finish puts the worst first.
func (r *Report) finish() {
	slices.SortStableFunc(r.Findings, func(a, b Finding) int {
		return slices.Index(severities, a.Severity) - slices.Index(severities, b.Severity)
	})
}

// dir returns the path of the directory of a page, with a slash at its end.
func dir(u *url.URL) string {
	path := u.EscapedPath()
	return path[:strings.LastIndexByte(path, '/')+1]
}
