package io.ksm4j.junit;

import java.util.Optional;
import org.junit.jupiter.api.extension.ConditionEvaluationResult;
import org.junit.jupiter.api.extension.ExecutionCondition;
import org.junit.jupiter.api.extension.ExtensionContext;
import org.junit.platform.commons.support.AnnotationSupport;
import org.opentest4j.AssertionFailedError;

/** What {@link EnabledIfKsm} asks of the machine. */
final class KsmCondition implements ExecutionCondition {

    @Override
    public ConditionEvaluationResult evaluateExecutionCondition(ExtensionContext context) {
        Optional<EnabledIfKsm> annotation = AnnotationSupport.findAnnotation(context.getElement(), EnabledIfKsm.class);
        if (annotation.isEmpty()) {
            return ConditionEvaluationResult.enabled("the class was looked at");
        }
        Optional<String> obstacle = Obstacle.find(annotation.get().control());
        if (obstacle.isEmpty()) {
            return ConditionEvaluationResult.enabled("memory can be marked mergeable");
        }
        if (context.getConfigurationParameter(Obstacle.REQUIRED)
                .map(Boolean::parseBoolean)
                .orElse(false)) {
            // A condition cannot say "failed"; an error out of it, which JUnit does not wrap as it does exceptions, is
            // one.
            throw new AssertionFailedError(Obstacle.requiredBut(obstacle.get()));
        }
        // Maven's Surefire counts what is skipped and says no reason on the console.
        System.err.println(name(context) + " is skipped: " + obstacle.get());
        return ConditionEvaluationResult.disabled(obstacle.get());
    }

    private static String name(ExtensionContext context) {
        String testClass = context.getRequiredTestClass().getSimpleName();
        return context.getTestMethod().isEmpty() ? testClass : testClass + "." + context.getDisplayName();
    }
}
