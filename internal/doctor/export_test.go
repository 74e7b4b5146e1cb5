package doctor

import (
	"maps"
	"slices"
)

// IDs returns the names of all findings that there are, in order.
func IDs() []string { return slices.Sorted(maps.Keys(catalogue)) }
