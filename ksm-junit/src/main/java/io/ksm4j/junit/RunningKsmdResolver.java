// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.junit;

import java.util.Optional;
import org.junit.jupiter.api.extension.ExtensionContext;
import org.junit.jupiter.api.extension.ExtensionContext.Namespace;
import org.junit.jupiter.api.extension.ParameterContext;
import org.junit.jupiter.api.extension.ParameterResolutionException;
import org.junit.jupiter.api.extension.ParameterResolver;
import org.junit.platform.commons.support.AnnotationSupport;

/** Provides tests with a {@link RunningKsmd}. JUnit closes it with the context that requested it first. */
final class RunningKsmdResolver implements ParameterResolver {

    private static final Namespace NAMESPACE = Namespace.create(RunningKsmdResolver.class);

    /** Otherwise the parameter of a constructor would stay open until the last test of the class has ended. */
    @Override
    public ExtensionContextScope getTestInstantiationExtensionContextScope(ExtensionContext rootContext) {
        return ExtensionContextScope.TEST_METHOD;
    }

    @Override
    public boolean supportsParameter(ParameterContext parameter, ExtensionContext context) {
        return parameter.getParameter().getType() == RunningKsmd.class;
    }

    @Override
    public RunningKsmd resolveParameter(ParameterContext parameter, ExtensionContext context) {
        if (!needsControl(context)) {
            throw new ParameterResolutionException(
                    "a test with a parameter of type RunningKsmd needs @EnabledIfKsm(control = true), so that it is"
                            + " skipped where ksmd cannot be started");
        }
        return context.getStore(NAMESPACE)
                .getOrComputeIfAbsent(RunningKsmd.class, type -> RunningKsmd.start(), RunningKsmd.class);
    }

    private static boolean needsControl(ExtensionContext context) {
        for (Optional<ExtensionContext> at = Optional.of(context);
                at.isPresent();
                at = at.get().getParent()) {
            if (AnnotationSupport.findAnnotation(at.get().getElement(), EnabledIfKsm.class)
                    .filter(EnabledIfKsm::control)
                    .isPresent()) {
                return true;
            }
        }
        return false;
    }
}
