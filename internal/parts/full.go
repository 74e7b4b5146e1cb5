//go:build !core

package parts

const optional = true
