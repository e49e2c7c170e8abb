package connector

// RecoveryFile is recoveryFile.
var RecoveryFile = recoveryFile
