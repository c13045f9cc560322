package ec2fake

import (
	"fmt"
	"net/http"
)

// refusal is why a call was not carried out.
type refusal struct {
	code, message string
}

func refuse(code, format string, args ...any) *refusal {
	return &refusal{code: code, message: fmt.Sprintf(format, args...)}
}

// status is the HTTP status that goes with a code.
func (r *refusal) status() int {
	switch r.code {
	case "AuthFailure":
		return http.StatusUnauthorized
	case "UnauthorizedOperation", "SignatureDoesNotMatch", "MissingAuthenticationToken":
		return http.StatusForbidden
	case "DryRunOperation":
		return http.StatusPreconditionFailed
	case "InsufficientInstanceCapacity", "InternalError", "InternalFailure":
		return http.StatusInternalServerError
	case "RequestLimitExceeded", "Unavailable", "ServiceUnavailable":
		return http.StatusServiceUnavailable
	}
	return http.StatusBadRequest
}
