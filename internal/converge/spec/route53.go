package spec

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// Texts for editors, of what the checks below take.
const (
	zoneIDPattern     = `^[A-Z0-9]+$`
	awsProfilePattern = `^[!-~]([ -~]*[!-~])?$`
	maxZoneID         = 32
)

// checkZoneID takes the ID of a hosted zone as the console shows it.
func checkZoneID(text string) error {
	const want = "expected the ID of a hosted zone, such as Z0123456789ABCDEFGHIJ"
	id := strings.TrimPrefix(strings.TrimPrefix(text, "/"), "hostedzone/")
	is := regexp.MustCompile(zoneIDPattern)
	switch {
	case is.MatchString(text) && len(text) <= maxZoneID:
		return nil
	case id != text && is.MatchString(id):
		return fmt.Errorf("the path of a zone; expected its ID alone, %s", id)
	}
	return errors.New("not an ID; " + want)
}

// checkAWSProfile takes the name of a section of ~/.aws/config.
func checkAWSProfile(text string) error {
	if !regexp.MustCompile(awsProfilePattern).MatchString(text) || len(text) > maxProfile || strings.ContainsAny(text, "[]") {
		return errors.New("not the name of a profile; expected one of ~/.aws/config")
	}
	return nil
}
