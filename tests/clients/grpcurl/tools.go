//go:build tools

// Pins grpcurl in go.mod and go.sum; run.sh builds it.
package tools

import (
	_ "github.com/fullstorydev/grpcurl"
	_ "github.com/fullstorydev/grpcurl/cmd/grpcurl"
)
