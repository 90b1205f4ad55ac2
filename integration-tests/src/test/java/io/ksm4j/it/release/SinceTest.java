// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.release;

import static org.assertj.core.api.Assertions.assertThat;

import com.sun.source.tree.ClassTree;
import com.sun.source.tree.CompilationUnitTree;
import com.sun.source.tree.ExportsTree;
import com.sun.source.tree.ModuleTree;
import com.sun.source.tree.Tree;
import com.sun.source.util.DocTrees;
import com.sun.source.util.JavacTask;
import com.sun.source.util.TreePath;
import com.sun.source.util.TreePathScanner;
import io.ksm4j.it.fixtures.Aside;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import javax.lang.model.element.Modifier;
import javax.tools.JavaCompiler;
import javax.tools.StandardJavaFileManager;
import javax.tools.ToolProvider;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** Every type that users can see says since which version it is there. */
@Aside
class SinceTest {

    private static final Path ROOT = Path.of("..").toAbsolutePath().normalize();

    @Tag("long")
    @Test
    void everyExportedTypeSaysSinceWhichVersionItIsThere() throws IOException {
        List<String> checked = new ArrayList<>();
        List<String> missing = new ArrayList<>();
        for (Path sources : sourcesOfApis()) {
            for (Path exported : exportedBy(sources.resolve("module-info.java"))) {
                try (Stream<Path> files = Files.list(sources.resolve(exported.toString()))) {
                    for (Path file : files.filter(path -> path.toString().endsWith(".java"))
                            .sorted()
                            .toList()) {
                        check(file, checked, missing);
                    }
                }
            }
        }

        assertThat(checked)
                .contains("Ksm", "MergeRegion", "KsmDaemon", "KsmMetrics")
                .hasSizeGreaterThan(50);
        assertThat(missing).as("public types without @since").isEmpty();
    }

    /** Of the modules that are released, but for programs. */
    private static List<Path> sourcesOfApis() throws IOException {
        List<Path> found = new ArrayList<>();
        try (Stream<Path> modules = Files.list(ROOT)) {
            for (Path module : modules.sorted().toList()) {
                Path sources = module.resolve("src/main/java");
                if (Files.exists(sources.resolve("module-info.java"))) {
                    String pom = Files.readString(module.resolve("pom.xml"));
                    if (!pom.contains("<maven.deploy.skip>true") && !pom.contains("<api.comparison.skip>true")) {
                        found.add(sources);
                    }
                }
            }
        }
        return found;
    }

    private static List<Path> exportedBy(Path descriptor) throws IOException {
        ModuleTree module = parsed(descriptor).unit.getModule();
        return module.getDirectives().stream()
                .filter(ExportsTree.class::isInstance)
                .map(ExportsTree.class::cast)
                .filter(exports -> exports.getModuleNames() == null)
                .map(exports -> Path.of(exports.getPackageName().toString().replace('.', '/')))
                .toList();
    }

    private record Parsed(CompilationUnitTree unit, DocTrees trees) {}

    private static Parsed parsed(Path file) throws IOException {
        JavaCompiler javac = ToolProvider.getSystemJavaCompiler();
        try (StandardJavaFileManager files = javac.getStandardFileManager(null, null, null)) {
            JavacTask task = (JavacTask)
                    javac.getTask(null, files, null, List.of("-proc:none"), null, files.getJavaFileObjects(file));
            return new Parsed(task.parse().iterator().next(), DocTrees.instance(task));
        }
    }

    private static void check(Path file, List<String> checked, List<String> missing) throws IOException {
        Parsed parsed = parsed(file);
        new TreePathScanner<Void, Void>() {
            @Override
            public Void visitClass(ClassTree type, Void nothing) {
                if (!isVisible(type, getCurrentPath().getParentPath())) {
                    return null;
                }
                checked.add(type.getSimpleName().toString());
                String comment = parsed.trees.getDocComment(getCurrentPath());
                if (comment == null || !comment.contains("@since ")) {
                    long line = parsed.unit
                            .getLineMap()
                            .getLineNumber(parsed.trees.getSourcePositions().getStartPosition(parsed.unit, type));
                    missing.add(ROOT.relativize(file) + ":" + line + ": " + type.getSimpleName());
                }
                return super.visitClass(type, null);
            }
        }.scan(parsed.unit, null);
    }

    private static boolean isVisible(ClassTree type, TreePath enclosing) {
        Tree parent = enclosing.getLeaf();
        if (parent.getKind() == Tree.Kind.INTERFACE || parent.getKind() == Tree.Kind.ANNOTATION_TYPE) {
            return true;
        }
        boolean isMember = parent instanceof CompilationUnitTree || parent instanceof ClassTree;
        return isMember
                && (type.getModifiers().getFlags().contains(Modifier.PUBLIC)
                        || type.getModifiers().getFlags().contains(Modifier.PROTECTED));
    }
}
