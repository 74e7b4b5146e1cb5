package doctor

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// MostRequests is how many requests an examination sends at most, those while it waits for a sign-out included.
const MostRequests = 300

// Options says what is examined.
type Options struct {
	Target *url.URL // of a page that needs a session
	Public *url.URL // of a page that needs none, on the same host; may be nil
	Echo   *url.URL // of a page on which the application shows the headers that it got, on the same host; may be nil
	Logout *url.URL // signs the session out when it is asked for with GET, on any host; nil leaves the session alone

	Credential Credential // of a valid session; the zero value is none
	CookieName string     // of the session cookie
	Headers    []string   // names of the identity headers, at most 8
	Identity   string     // what one of the identity headers holds for this session; empty if it is not known
	RenewalDue bool       // the session service renews the cookie at the first request of this session

	AdminPort  string        // of the admin listener, which should be out of reach; empty means 9090, unless the target is on this machine
	Connect    string        // host:port to connect to in place of the host of Target; empty means that host
	Front      Front         // empty means that it is guessed
	Pause      time.Duration // between two requests
	LogoutWait time.Duration // for how long a sign-out may take to be in force until that is given up
}

// A Credential is one valid session: the value of a cookie, or a token. It does not print.
type Credential struct{ Cookie, Token string }

// String hides the credential, and so does GoString.
func (Credential) String() string { return "<secret>" }

// GoString hides the credential.
func (Credential) GoString() string { return "<secret>" }

func (c Credential) given() bool { return c != Credential{} }

// A Report is what an examination found.
type Report struct {
	Target     string      `json:"target"`
	Front      Front       `json:"front,omitempty"`
	Requests   int         `json:"requests"`
	Findings   []Finding   `json:"findings"`    // the worst first
	Passed     []string    `json:"passed"`      // what was tried and is as it should be
	NotChecked []Unchecked `json:"not_checked"` // what could not be tried
}

// Sound reports whether nothing was found that has to be mended. Notes do not count.
func (r *Report) Sound() bool {
	for _, f := range r.Findings {
		if f.Severity != Note {
			return false
		}
	}
	return true
}

// A Finding is one weakness.
type Finding struct {
	ID       string     `json:"id"`
	Severity Severity   `json:"severity"`
	Title    string     `json:"title"`
	Evidence []Evidence `json:"evidence"`
	Why      string     `json:"why"`  // it matters
	Mend     string     `json:"mend"` // how, for the front proxy at hand
}

// Evidence is one request and what came back. The credential is not in it.
type Evidence struct {
	Sent []string `json:"sent"` // the request line, and the header lines that matter
	Came string   `json:"came"`
}

// Unchecked is something that was not examined, and what would be needed for it.
type Unchecked struct {
	What string `json:"what"`
	Why  string `json:"why"`
}

// Severity says how bad a finding is.
type Severity string

// The severities, the worst first.
const (
	Critical Severity = "critical" // somebody gets in without a session, or as somebody else
	High     Severity = "high"     // with one more mistake somewhere they do
	Medium   Severity = "medium"   // it works less well than it should, or tells too much
	Note     Severity = "note"     // to be known; nothing is wrong by itself
)

var severities = []Severity{Critical, High, Medium, Note}

// An examination is one under way. Once err is set nothing is sent any more, and all answers are empty.
type examination struct {
	Options
	ctx    context.Context
	wire   *wire
	err    error
	report *Report
	nonce  string // random, in everything that is made up

	plain     answer    // the target without a session
	page      answer    // the target with a session; empty if it is not let in
	reached   bool      // the page was seen, or who has no session is told to sign in: what does not open it is worth telling
	controls  []control // pages that are for everybody
	dynamic   bool      // two pages that should be alike were not: pages cannot be compared
	openEcho  bool      // the echo page needs no session
	throttled bool      // 429 was seen
	silent    int       // requests without an answer in a row
}

// Run examines a deployment. The error says that the examination could not be done; what was found is in the report.
func Run(ctx context.Context, o Options) (*Report, error) {
	e := &examination{
		Options: o, ctx: ctx, wire: newWire(o), nonce: strings.ToLower(rand.Text()[:10]),
		report: &Report{Target: display(o.Target), Front: o.Front, Findings: []Finding{}, Passed: []string{}, NotChecked: []Unchecked{}},
	}
	e.examine()
	if e.err != nil {
		return nil, fmt.Errorf("examine %s: %w", e.report.Target, e.err)
	}
	if e.throttled {
		e.unchecked("what was answered with 429", "a limit on the rate got in the way: try a lower --rate")
	}
	e.report.finish()
	return e.report, nil
}

func (e *examination) examine() {
	e.plain = e.ask(e.get(e.target()))
	if e.plain.status == 0 && e.err == nil {
		e.err = fmt.Errorf("no answer: %s", e.plain.failure)
	}
	to, err := e.Target.Parse(e.plain.header.Get("Location"))
	if e.err == nil && err == nil && to.Path == e.Target.Path && to.Scheme != e.Target.Scheme {
		e.err = fmt.Errorf("it redirects to %s://…: examine that URL", to.Scheme)
	}
	if e.err != nil {
		return
	}
	if e.report.Front == "" {
		e.report.Front = guessFront(e.plain.header)
	}
	if e.plain.ok() {
		e.found("open", Critical, Evidence{e.get(e.target()).sent(), e.plain.String()})
		e.unchecked("every attack without a session", "the page is open already")
		return
	}
	e.entry()
	e.compareWith()
	e.credentials()
	e.claims()
	e.paths()
	e.methods()
	e.upgrades()
	e.redirects()
	e.surfaces()
	e.echo()
	e.signOut()
}

// target is the path and query of the page that needs a session.
func (e *examination) target() string { return e.Target.RequestURI() }

// publicTarget is that of a page that needs none, or a guess at one.
func (e *examination) publicTarget() string {
	if e.Public == nil {
		return "/"
	}
	return e.Public.RequestURI()
}

// get returns a GET of a target on the host that is examined.
func (e *examination) get(target string, fields ...field) request {
	return request{method: "GET", target: target, fields: fields}
}

// signedIn adds the credential to a request.
func (e *examination) signedIn(r request) request {
	r.session = true
	return r
}

// errBudget says that the bound on requests was reached.
var errBudget = errors.New("it took more requests than allowed")

// ask sends a request to the host that is examined.
func (e *examination) ask(r request) answer { return e.askAt(e.Target, r) }

// askAt sends a request to the host of a URL. What the network does wrong is in the answer: whether it matters depends on what was asked.
func (e *examination) askAt(host *url.URL, r request) answer {
	if e.err == nil && e.report.Requests >= MostRequests {
		e.err = errBudget
	}
	if e.err == nil && e.report.Requests > 0 {
		e.err = e.wait(e.Pause)
	}
	if e.err != nil {
		return answer{}
	}
	e.report.Requests++
	a := e.wire.do(e.ctx, host, r, e.lines(r))
	if e.err = e.ctx.Err(); e.err != nil {
		return answer{}
	}
	if a.status == 429 {
		e.throttled = true
	}
	e.silent++
	if a.status != 0 {
		e.silent = 0
	}
	if e.silent >= 10 {
		e.err = errors.New("ten requests in a row had no answer: something may have blocked this client; try a lower --rate")
	}
	return a
}

// wait waits for a while, or until the examination is ended.
func (e *examination) wait(d time.Duration) error {
	select {
	case <-e.ctx.Done():
		return e.ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// lines are the header lines of a request, the credential included.
func (e *examination) lines(r request) []field {
	fields := r.fields
	if r.session && e.Credential.Cookie != "" {
		cookie := e.CookieName + "=" + e.Credential.Cookie
		merged := make([]field, 0, len(fields)+1)
		for _, f := range fields {
			if f.name == "Cookie" { // two Cookie lines have more than one reading
				cookie += "; " + f.value
				continue
			}
			merged = append(merged, f)
		}
		fields = append(merged, field{"Cookie", cookie})
	} else if r.session {
		fields = append(fields[:len(fields):len(fields)], field{"X-Session-Token", e.Credential.Token})
	}
	return fields
}

// display returns a URL without what may be secret in it: userinfo and query.
func display(u *url.URL) string { return u.Scheme + "://" + u.Host + u.EscapedPath() }
