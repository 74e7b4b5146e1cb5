package policy

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// ErrForgotten says that a session is remembered without the service's statement, and not as this policy looks at it. The service has to be
// asked again.
var ErrForgotten = errors.New("the service's statement has not been kept")

// errAsBefore stands for what was wrong when an expression was evaluated, which is not remembered.
var errAsBefore = errors.New("it could not be evaluated when the session service was asked")

// What became of a condition, in a folded view.
const (
	foldedMet byte = iota
	foldedUnmet
	foldedNoStatement
	foldedFailed
)

// AppendFolded implements [upstream.Foldable]. It tells which policy made the view, what became of the conditions, and the values of the
// headers. Tokens are not told: they are signed again.
func (v *View) AppendFolded(dst []byte) []byte {
	dst = append(dst, v.policy.mark[:]...)
	for i, err := range v.unmet {
		switch {
		case err == nil:
			dst = append(dst, foldedMet)
		case errors.Is(err, errNoStatement):
			dst = append(dst, foldedNoStatement)
		case err == v.policy.conditions.list[i].unmet: //nolint:errorlint // it is this very value
			dst = append(dst, foldedUnmet)
		default:
			dst = append(dst, foldedFailed)
		}
	}
	for _, f := range v.Fields {
		dst = binary.AppendUvarint(dst, uint64(len(f.Value)))
		dst = append(dst, f.Value...)
	}
	return dst
}

// unfold returns the view that a folded one tells of, whose memory it takes over, or nil if it is not one that p has made. It reports
// whether the view is as it was: of conditions that could not be evaluated it does not say why.
func (p *Policy) unfold(folded []byte) (v *View, whole bool) {
	rest, own := bytes.CutPrefix(folded, p.mark[:])
	if !own {
		return nil, false
	}
	v, whole = &View{policy: p, Fields: make([]Field, len(p.headers)), tokens: p.slots()}, true
	if n := len(p.conditions.list); n > 0 {
		v.unmet = make([]error, n)
		for i, became := range rest[:n] {
			v.unmet[i] = p.conditions.list[i].became(became)
			whole = whole && became != foldedFailed
		}
		rest = rest[n:]
	}
	for i := range v.Fields {
		n, size := binary.Uvarint(rest)
		rest = rest[size:]
		v.Fields[i] = Field{Name: p.empty.Fields[i].Name, Value: rest[:n:n]}
		rest = rest[n:]
	}
	return v, whole
}

func (c *condition) became(what byte) error {
	switch what {
	case foldedMet:
		return nil
	case foldedUnmet:
		return c.unmet
	case foldedNoStatement:
		return errNoStatement
	default:
		return &EvaluationError{fmt.Sprint(c.expression), errAsBefore}
	}
}

// Prepare computes the view of a session of service, so that it can be remembered with the session. What cannot be computed is told to who
// asks for it.
func (p *Policy) Prepare(s *upstream.Session, service Service) { _, _ = p.View(s, service) }
