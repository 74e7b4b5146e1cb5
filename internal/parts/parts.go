package parts

// A Part is an optional part, by its name.
type Part string

// The optional parts.
const (
	CEL      Part = "cel"      // expressions
	GRPC     Part = "grpc"     // Envoy's checks by gRPC
	Postgres Part = "postgres" // revocations from the database of Kratos
	Demo     Part = "demo"     // gatehouse demo
)

// All returns every optional part, in the order in which people are told.
func All() []Part { return []Part{CEL, GRPC, Postgres, Demo} }

// Built reports whether p is in this build.
func (p Part) Built() bool { return optional }

// Fault says what to do about the lack of p, or nothing if p is in this build.
func (p Part) Fault() string {
	if p.Built() {
		return ""
	}
	return "this build has no " + map[Part]string{
		CEL: "expressions", GRPC: "gRPC", Postgres: "PostgreSQL", Demo: "demo",
	}[p] + ": use the full build, which is made without the tag core, or do without"
}

// Error is [Part.Fault] as an error.
func (p Part) Error() string { return p.Fault() }
