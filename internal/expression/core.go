//go:build core

package expression

import "github.com/gatehouse-proxy/gatehouse/internal/parts"

// An Expression would be a condition on a session, but none is ever compiled in this build.
type Expression struct{}

// A Reply would be a condition on what a session service answered, likewise.
type Reply struct{}

// Compile fails: this build has no library for expressions.
func Compile(string) (*Expression, error) { return nil, parts.CEL }

// CompileReply fails, likewise.
func CompileReply(string) (*Reply, error) { return nil, parts.CEL }

// String is never called.
func (*Expression) String() string { return "" }

// Holds fails: what is not evaluated does not hold.
func (*Expression) Holds(any) (bool, error) { return false, parts.CEL }

// Holds fails, likewise.
func (*Reply) Holds(int, map[string]string, any) (bool, error) { return false, parts.CEL }
