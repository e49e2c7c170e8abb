package directory

import "github.com/matrix-connector/matrix-connector/internal/stix"

// definitions are the markings, as STIX 2.1 §7.2.1.4 fixes four of them. TLP 2.0
// calls WHITE by the name CLEAR and has kept its id. AMBER+STRICT came after STIX
// 2.1, which leaves it the form of a statement; OpenCTI knows it by its id.
var definitions = map[stix.ID]string{
	stix.TLPClear.MarkingID(): tlp(stix.TLPClear, "TLP:WHITE", "white"),
	stix.TLPGreen.MarkingID(): tlp(stix.TLPGreen, "TLP:GREEN", "green"),
	stix.TLPAmber.MarkingID(): tlp(stix.TLPAmber, "TLP:AMBER", "amber"),
	stix.TLPRed.MarkingID():   tlp(stix.TLPRed, "TLP:RED", "red"),
	stix.TLPAmberStrict.MarkingID(): `{"type":"marking-definition","spec_version":"2.1","id":"` + string(stix.TLPAmberStrict.MarkingID()) +
		`","created":"2022-08-01T00:00:00.000Z","definition_type":"statement","name":"TLP:AMBER+STRICT",` +
		`"definition":{"statement":"TLP:AMBER+STRICT"},"x_opencti_definition_type":"TLP","x_opencti_definition":"TLP:AMBER+STRICT"}`,
}

func tlp(marking stix.TLP, name, level string) string {
	return `{"type":"marking-definition","spec_version":"2.1","id":"` + string(marking.MarkingID()) +
		`","created":"2017-01-20T00:00:00.000Z","definition_type":"tlp","name":"` + name + `","definition":{"tlp":"` + level + `"}}`
}
