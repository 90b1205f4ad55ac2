/** Line charts as SVG. */
module io.ksm4j.plot {
    exports io.ksm4j.plot;
}
