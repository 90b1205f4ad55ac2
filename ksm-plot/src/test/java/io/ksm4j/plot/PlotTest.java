// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.plot;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.ksm4j.plot.Plot.Axis;
import io.ksm4j.plot.Plot.Line;
import io.ksm4j.plot.Plot.Panel;
import io.ksm4j.plot.Plot.Point;
import java.io.StringReader;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.regex.Pattern;
import javax.xml.parsers.DocumentBuilderFactory;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.w3c.dom.Document;
import org.w3c.dom.NodeList;
import org.xml.sax.InputSource;

class PlotTest {

    private static final Axis SECONDS = new Axis("seconds", 0.1, 1000, true);
    private static final Axis PERCENT = new Axis("% of <all>", 0, 100, false);

    private final Locale locale = Locale.getDefault();

    @AfterEach
    void putLocaleBack() {
        Locale.setDefault(locale);
    }

    private static Plot plot(Line... lines) {
        return new Plot("A & B", SECONDS, List.of(new Panel(PERCENT, List.of(lines))));
    }

    private static List<String> texts(String svg) throws Exception {
        Document document =
                DocumentBuilderFactory.newInstance().newDocumentBuilder().parse(new InputSource(new StringReader(svg)));
        NodeList nodes = document.getElementsByTagName("text");
        List<String> texts = new ArrayList<>();
        for (int i = 0; i < nodes.getLength(); i++) {
            texts.add(nodes.item(i).getTextContent());
        }
        return texts;
    }

    @Test
    void itNamesLinesAxesAndTicks() throws Exception {
        String svg = plot(new Line("one", List.of(new Point(1, 50)))).svg();
        assertThat(texts(svg))
                .containsExactly(
                        "A & B",
                        "% of <all>",
                        "0",
                        "20",
                        "40",
                        "60",
                        "80",
                        "100",
                        "0.1",
                        "1",
                        "10",
                        "100",
                        "1000",
                        "seconds",
                        "one");
    }

    @Test
    void pointsStandWhereTheirNumbersAre() {
        assertThat(SECONDS.position(0.1)).isZero();
        assertThat(SECONDS.position(10)).isCloseTo(0.5, within(1e-9));
        assertThat(PERCENT.position(25)).isEqualTo(0.25);
        assertThat(PERCENT.position(170)).isEqualTo(1);
        assertThat(SECONDS.position(0)).isZero();
        String svg = plot(new Line("one", List.of(new Point(0.1, 0), new Point(10, 50), new Point(1000, 100))))
                .svg();
        assertThat(svg).contains("d=\"M64.0 260.0L402.0 150.0L740.0 40.0\"");
    }

    @Test
    void eachLineHasAColourForLightAndOneForDarkPages() {
        String svg =
                plot(new Line("one", List.of()), new Line("other", List.of())).svg();
        for (String name : List.of("c0", "c1")) {
            List<String> colours = Pattern.compile("\\." + name + "\\{stroke:(#\\w+)\\}")
                    .matcher(svg)
                    .results()
                    .map(found -> found.group(1))
                    .toList();
            assertThat(colours).hasSize(2).doesNotHaveDuplicates();
        }
        assertThat(svg).contains("prefers-color-scheme:dark");
    }

    @Test
    void itIsTheSameInEveryLocale() {
        Plot plot = plot(new Line("one", List.of(new Point(1.5, 12.5))));
        String svg = plot.svg();
        Locale.setDefault(Locale.forLanguageTag("ar-EG-u-nu-arab"));
        assertThat(plot.svg()).isEqualTo(svg);
    }

    @Test
    void moreLinesThanColoursAreRefused() {
        assertThatThrownBy(() ->
                        plot(Collections.nCopies(9, new Line("one", List.of())).toArray(new Line[0])))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("9");
    }

    @Test
    void whatCannotBeDrawnIsRefused() {
        assertThatThrownBy(() -> new Plot("empty", SECONDS, List.of())).isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> new Point(1, Double.NaN)).isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> new Axis("backwards", 1, 0, false)).isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> new Axis("seconds", 0, 1, true)).isInstanceOf(IllegalArgumentException.class);
    }
}
