//go:build !linux

package bed

import "errors"

func inside(string, func() error) error { return errors.New("the test bed needs Linux") }
