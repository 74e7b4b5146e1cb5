package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// A Requirement is what a session must have beyond being valid. The zero Requirement asks for nothing.
type Requirement struct {
	AAL         upstream.AAL  // the least level
	MaxAge      time.Duration // since the person last proved who they are; 0 for any
	Methods     [][]string    // of every list, at least one was used to sign in
	Expressions []Expression  // all of them hold
}

// An Expression is a condition on the session service's own statement, which is given as JSON in the types of encoding/json. It is safe
// for concurrent use, and says the same of the same statement every time. An error means that it cannot be said. Expressions with the
// same text are the same.
type Expression interface {
	Holds(session any) (bool, error)
	String() string
}

// And returns what asks for all that r and s ask for.
func (r Requirement) And(s Requirement) Requirement {
	both := Requirement{
		AAL:         max(r.AAL, s.AAL),
		MaxAge:      r.MaxAge,
		Methods:     slices.Concat(r.Methods, s.Methods),
		Expressions: slices.Concat(r.Expressions, s.Expressions),
	}
	if r.MaxAge == 0 || s.MaxAge > 0 && s.MaxAge < r.MaxAge {
		both.MaxAge = s.MaxAge
	}
	return both
}

// A condition is one thing that a session's statement meets or not, however much time passes.
type condition struct {
	methods    []string
	expression Expression // if methods is nil
	unmet      error      // says that it is not met
}

// conditions are all that the routes of one policy ask of a session's statement, each of them once.
type conditions struct {
	list []condition
	seen map[string]int
}

// add returns the places of what r asks.
func (cs *conditions) add(r Requirement) (places []int) {
	for _, methods := range r.Methods {
		methods = slices.Sorted(slices.Values(methods))
		name := strings.Join(methods, " ")
		places = append(places, cs.place("methods "+name, condition{
			methods: methods, unmet: fmt.Errorf("session was authenticated by none of: %s", name),
		}))
	}
	for _, e := range r.Expressions {
		places = append(places, cs.place("expression "+e.String(), condition{
			expression: e, unmet: fmt.Errorf("expression is not true: %s", e),
		}))
	}
	return places
}

func (cs *conditions) place(name string, c condition) int {
	if i, ok := cs.seen[name]; ok {
		return i
	}
	if cs.seen == nil {
		cs.seen = map[string]int{}
	}
	cs.seen[name] = len(cs.list)
	cs.list = append(cs.list, c)
	return len(cs.list) - 1
}

// An EvaluationError says that it cannot be said whether a session meets an expression: most likely the expression expects something of
// every session that not every session has. It does not quote the session.
type EvaluationError struct {
	Expression string
	Err        error
}

// Error names the expression, and what is wrong where in it.
func (e *EvaluationError) Error() string { return fmt.Sprintf("evaluate %s: %v", e.Expression, e.Err) }

// Unwrap returns the cause.
func (e *EvaluationError) Unwrap() error { return e.Err }

// errNoStatement says that there is nothing to judge.
var errNoStatement = errors.New("session has no statement in JSON")

// judge returns, for every condition in its place, why a session's statement does not meet it, and nil where it does.
//
// GJSON reads the statement here as it does for identity headers: of a repeated key, the first counts.
func (cs *conditions) judge(body []byte) []error {
	if len(cs.list) == 0 {
		return nil
	}
	var session any
	if gjson.ValidBytes(body) {
		session = gjson.ParseBytes(body).Value()
	}
	used := gjson.GetBytes(body, "authentication_methods.#.method").Array()
	unmet := make([]error, len(cs.list))
	for i, c := range cs.list {
		unmet[i] = c.judge(session, used)
	}
	return unmet
}

func (c *condition) judge(session any, used []gjson.Result) error {
	switch {
	case session == nil:
		return errNoStatement
	case c.expression != nil:
		holds, err := c.expression.Holds(session)
		if err != nil {
			return &EvaluationError{c.expression.String(), err}
		}
		if holds {
			return nil
		}
	case slices.ContainsFunc(used, func(r gjson.Result) bool { return r.Type == gjson.String && slices.Contains(c.methods, r.Str) }):
		return nil
	}
	return c.unmet
}

// Unmet returns the first reason why a session may not take the route, and "" if there is none. What the client can mend by signing in
// again comes first. view must be what the route's own policy makes of the session. The error says more where there is more to say.
//
// It is cheap, since everything that does not change with time is in the view.
func (r *Route) Unmet(s *upstream.Session, view *View) (Reason, error) {
	switch {
	case s.AAL < r.AAL:
		return InsufficientAAL, nil
	case r.MaxAge > 0 && time.Since(s.AuthenticatedAt) > r.MaxAge: // which it is if the service did not say
		return SessionTooOld, nil
	}
	for _, i := range r.conditions {
		if err := view.unmet[i]; err != nil {
			return RequirementFailed, err
		}
	}
	return "", nil
}
