package io.ksm4j.it;
class TuneCommandTest {}
