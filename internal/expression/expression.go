//go:build !core

package expression

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"unicode/utf8"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
)

// MaxLength is the greatest length of an expression, in bytes.
const MaxLength = 4 << 10

// maxCost is the greatest cost of evaluating one, in the units of cel-go: about a step each. Looking through all authentication methods
// of a session costs some hundreds.
const maxCost = 100_000

// An Expression is a compiled condition on a session. It is immutable and safe for concurrent use.
type Expression struct{ condition }

// A Reply is a compiled condition on what a session service answered. It is immutable and safe for concurrent use.
type Reply struct{ condition }

type condition struct {
	text    string
	program cel.Program
	info    *ast.SourceInfo
}

// A subject is what a condition is about: the variables that it may use, and what they are called in messages.
type subject struct {
	name      string
	variables string
	env       func() (*cel.Env, error)
}

var (
	session = subject{"session", "session", environment(cel.Variable("session", cel.MapType(cel.StringType, cel.DynType)))}
	reply   = subject{"answer", "status, headers and body", environment(
		cel.Variable("status", cel.IntType),
		cel.Variable("headers", cel.MapType(cel.StringType, cel.StringType)),
		cel.Variable("body", cel.DynType),
	)}
)

// environment returns what the expressions about one subject are compiled in. It has the standard functions and macros only, which are
// deterministic.
func environment(variables ...cel.EnvOption) func() (*cel.Env, error) {
	return sync.OnceValues(func() (*cel.Env, error) {
		return cel.NewEnv(append(variables,
			cel.ParserExpressionSizeLimit(MaxLength),
			cel.ParserRecursionLimit(64),
			cel.ASTValidators(cel.ValidateRegexLiterals(), cel.ValidateTimestampLiterals(), cel.ValidateDurationLiterals()),
		)...)
	})
}

// Compile compiles a condition on a session. The error says where in the text the first mistake is.
func Compile(text string) (*Expression, error) {
	c, err := session.compile(text)
	if err != nil {
		return nil, err
	}
	return &Expression{c}, nil
}

// CompileReply compiles a condition on what a session service answered. The error says where in the text the first mistake is.
func CompileReply(text string) (*Reply, error) {
	c, err := reply.compile(text)
	if err != nil {
		return nil, err
	}
	return &Reply{c}, nil
}

// compile compiles an expression, which must be a condition: of type bool.
func (s *subject) compile(text string) (condition, error) {
	if text == "" {
		return condition{}, errors.New("is empty: say what must be true of the " + s.name)
	}
	if len(text) > MaxLength {
		return condition{}, fmt.Errorf("want at most %d bytes, got %d", MaxLength, len(text))
	}
	env, err := s.env()
	if err != nil {
		return condition{}, fmt.Errorf("build environment of expressions: %w", err)
	}
	checked, issues := env.Compile(text)
	if errs := issues.Errors(); len(errs) > 0 {
		return condition{}, s.mistake(text, errs[0])
	}
	switch checked.OutputType().Kind() {
	case types.BoolKind:
	case types.DynKind:
		return condition{}, errors.New("want a condition, and what this is depends on the " + s.name +
			": compare it with something, such as == true")
	default:
		return condition{}, fmt.Errorf("want a condition, which is true or false, got %s", checked.OutputType())
	}
	program, err := env.Program(checked, cel.EvalOptions(cel.OptOptimize), cel.CostLimit(maxCost))
	if err != nil {
		return condition{}, fmt.Errorf("prepare it: %w", err)
	}
	return condition{text: text, program: program, info: checked.NativeRep().SourceInfo()}, nil
}

// String returns the expression as it was written.
func (c *condition) String() string { return c.text }

// Holds reports whether the condition is true of a session, which is a JSON value in the types of encoding/json. It fails when that
// cannot be said, such as when the expression needs what the session does not have. The error tells nothing of the session's values.
func (e *Expression) Holds(session any) (bool, error) {
	return e.holds(map[string]any{"session": session})
}

// Holds reports whether the condition is true of an answer: its status, the first value of every header by its name in lower case, and
// the body in the types of encoding/json, nil if it is not JSON. It fails as [Expression.Holds] does.
func (r *Reply) Holds(status int, headers map[string]string, body any) (bool, error) {
	return r.holds(map[string]any{"status": status, "headers": headers, "body": body})
}

func (c *condition) holds(variables map[string]any) (bool, error) {
	out, _, err := c.program.Eval(variables)
	if err != nil {
		return false, c.failure(err)
	}
	return out == types.True, nil
}

// mistake says what is wrong with an expression, and where.
func (s *subject) mistake(text string, err *common.Error) error {
	message, _, _ := strings.Cut(err.Message, "\n")
	message = strings.TrimSuffix(message, " (in container '')")
	if name, ok := strings.CutPrefix(message, "undeclared reference to "); ok {
		message = "there is nothing called " + name + ": what is known is " + s.variables + ", and the functions of CEL"
	}
	if message == "invalid matches argument" {
		message = "this is no regular expression of RE2"
	}
	if wrong, ok := strings.CutPrefix(message, "Syntax error: "); ok {
		wrong, _, _ = strings.Cut(wrong, " expecting ")
		message = "syntax error: " + strings.TrimPrefix(wrong, "token recognition error at: ")
		if strings.Contains(wrong, "<EOF>") {
			message = "syntax error: something is missing at the end"
		} else if strings.HasPrefix(wrong, "token recognition error at: '=") || strings.HasPrefix(wrong, "no viable alternative at input '=") {
			message = "syntax error: write == to compare"
		}
	}
	if err.Location.Line() < 1 {
		return errors.New(message)
	}
	return fmt.Errorf("%s: %s", place(text, err.Location.Line(), err.Location.Column()), message)
}

// reasons are the beginnings of what the library says of an evaluation that failed. What it says beyond that may be of the session, and so
// nothing else is repeated.
var reasons = []string{
	"no such key", "no such overload", "index out of bounds", "division by zero", "modulus by zero", "integer overflow",
	"type conversion error", "invalid RFC 3339 timestamp", "error parsing regexp",
}

// failure says why an expression could not be evaluated, and where.
func (c *condition) failure(err error) error {
	message := "it has no value"
	if strings.Contains(err.Error(), "cost limit exceeded") {
		message = fmt.Sprintf("it takes more than %d steps", maxCost)
	}
	for _, reason := range reasons {
		if strings.HasPrefix(err.Error(), reason) {
			message = reason
		}
	}
	if failed, ok := errors.AsType[*types.Err](err); ok {
		if at := c.info.GetStartLocation(failed.NodeID()); at.Line() > 0 {
			return fmt.Errorf("%s: %s", place(c.text, at.Line(), at.Column()), message)
		}
	}
	return errors.New(message)
}

// place names a place in a text. Lines are counted from 1 and columns from 0, in characters.
func place(text string, line, column int) string {
	all := strings.Split(text, "\n")
	if len(all) > 1 {
		return fmt.Sprintf("line %d, character %d", line, column+1)
	}
	if rest := skip(text, column); rest != "" {
		return fmt.Sprintf("character %d, at `%s`", column+1, head(rest))
	}
	return fmt.Sprintf("character %d", column+1)
}

// skip returns s without its first n characters.
func skip(s string, n int) string {
	for ; n > 0 && s != ""; n-- {
		_, size := utf8.DecodeRuneInString(s)
		s = s[size:]
	}
	return s
}

// head returns the beginning of s, short enough for a message.
func head(s string) string {
	const longest = 24
	if utf8.RuneCountInString(s) <= longest {
		return s
	}
	return s[:len(s)-len(skip(s, longest))] + "…"
}
